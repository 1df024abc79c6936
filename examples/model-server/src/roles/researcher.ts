import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, json } from '../openai.ts'
import { contentStems, contentWords, coverage, parseJson, questionOf, sentences, stem, words } from '../text.ts'

const finding = z.object({ claim: z.string(), citation: z.string().nullable() })
type Finding = z.infer<typeof finding>

const task = z.object({
  question: z.string(),
  /** an earlier answer that a critic sent back, with what was wrong */
  previous: z
    .object({
      findings: z.array(finding),
      problems: z.array(z.object({ claim: z.string(), problem: z.string() })),
    })
    .optional(),
})

const searchHit = z.object({ passage: z.string(), document: z.string(), score: z.number(), text: z.string() })
type SearchHit = z.infer<typeof searchHit>
const openedDocument = z.object({
  document: z.string(),
  title: z.string(),
  passages: z.array(z.object({ passage: z.string(), text: z.string() })),
})
type OpenedDocument = z.infer<typeof openedDocument>

const findingsPerAnswer = 3
const documentsToOpen = 2

/**
 * Searches, opens the best documents, answers with their most telling sentences and the passages these stand in. Its
 * first answer ends with a conclusion of its own when the evidence is split between documents: a claim without a
 * citation, as models like to add, which a critic is there to catch.
 */
export const research = (conversation: Conversation): Answer => {
  const parsed = task.safeParse(parseJson(conversation.task))
  const { question, previous } = parsed.success
    ? parsed.data
    : { question: questionOf(conversation.task), previous: undefined }
  const hits = collect(conversation, /search/, z.array(searchHit)).flat()
  const search = conversation.tool(/search/)
  const open = conversation.tool(/read|open/)

  if (previous) {
    const disputed = new Set(previous.problems.map((problem) => problem.claim))
    const rejected = previous.findings.filter((one) => disputed.has(one.claim))
    if (hits.length === 0 && search && rejected.length > 0)
      return { kind: 'tools', calls: rejected.map((one) => ({ name: search, arguments: { query: one.claim } })) }
    return json({ findings: previous.findings.flatMap((one) => (disputed.has(one.claim) ? repair(one, hits) : [one])) })
  }

  if (hits.length === 0 && search) {
    const terms = contentWords(question)
    const queries = [...new Set([terms.join(' '), terms.slice(0, 2).join(' ')])]
    return { kind: 'tools', calls: queries.map((query) => ({ name: search, arguments: { query } })) }
  }
  const opened = collect(conversation, /read|open/, openedDocument)
  if (opened.length === 0 && open && hits.length > 0)
    return { kind: 'tools', calls: bestDocuments(hits).map((document) => ({ name: open, arguments: { document } })) }
  const findings = answerFrom(question, opened, hits)
  // who asks in prose knows the question by the answer alone
  return json(parsed.success ? { findings } : { question, findings })
}

const collect = <T>(conversation: Conversation, tool: RegExp, shape: z.ZodType<T>): T[] =>
  conversation.toolResults.flatMap((one) => {
    if (!tool.test(one.tool)) return []
    const result = shape.safeParse(one.result)
    return result.success ? [result.data] : []
  })

const scoreByDocument = (hits: readonly SearchHit[]): [document: string, score: number][] => {
  const scores = new Map<string, number>()
  for (const hit of hits) scores.set(hit.document, (scores.get(hit.document) ?? 0) + hit.score)
  return [...scores].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]))
}

const bestDocuments = (hits: readonly SearchHit[]): string[] =>
  scoreByDocument(hits)
    .slice(0, documentsToOpen)
    .map(([document]) => document)

const answerFrom = (question: string, opened: readonly OpenedDocument[], hits: readonly SearchHit[]): Finding[] => {
  const candidates = opened.flatMap((document) =>
    document.passages.flatMap(({ passage, text }) =>
      sentences(text).map((sentence) => ({ passage, sentence, title: document.title })),
    ),
  )
  const rarity = rarityIn(candidates.map((candidate) => candidate.sentence))
  const wanted = contentStems(question)
  const [subject = ''] = wanted
  const scored = candidates
    .map((candidate, order) => ({ ...candidate, order, score: relevance(candidate, wanted, subject, rarity) }))
    .sort((a, b) => b.score - a.score || a.order - b.order)
  const chosen: typeof scored = []
  for (const candidate of scored) {
    if (chosen.length === findingsPerAnswer) break
    if (chosen.some((one) => one.passage === candidate.passage)) continue
    chosen.push(candidate)
  }
  const findings: Finding[] = chosen
    .sort((a, b) => a.order - b.order)
    .map((one) => ({ claim: one.sentence, citation: one.passage }))
  const [best, second] = scoreByDocument(hits)
  if (best && second && second[1] > 0.6 * best[1] && opened.length >= 2)
    findings.push({
      claim: `Taken together, ${opened.map((document) => document.title.toLowerCase()).join(' and ')} answer this question completely.`,
      citation: null,
    })
  return findings
}

/** log(1 + N/n) of each stem: a word that few sentences have says more. */
const rarityIn = (all: readonly string[]): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const sentence of all) for (const word of contentStems(sentence)) counts.set(word, (counts.get(word) ?? 0) + 1)
  return new Map([...counts].map(([word, count]) => [word, Math.log(1 + all.length / count)]))
}

const relevance = (
  candidate: { sentence: string; title: string },
  wanted: ReadonlySet<string>,
  subject: string,
  rarity: ReadonlyMap<string, number>,
): number => {
  const length = words(candidate.sentence).length
  if (length < 8 || length > 45 || candidate.sentence.endsWith('?')) return 0
  const present = contentStems(candidate.sentence)
  let score = 0
  for (const word of present) if (wanted.has(word)) score += rarity.get(word) ?? 0
  // The first word that carries meaning is mostly what the question is about.
  const onSubject = present.has(subject) ? 2 : 1
  const inItsDocument = contentWords(candidate.title).some((word) => wanted.has(stem(word))) ? 1.3 : 1
  return (score * onSubject * inItsDocument) / Math.sqrt(length)
}

/** Finds the passage that carries a disputed claim; a claim that none carries is given up. */
const repair = (disputed: Finding, hits: readonly SearchHit[]): Finding[] => {
  const best = hits
    .map((hit) => ({ hit, share: coverage(disputed.claim, hit.text) }))
    .sort((a, b) => b.share - a.share)[0]
  return best && best.share >= 0.8 ? [{ claim: disputed.claim, citation: best.hit.passage }] : []
}
