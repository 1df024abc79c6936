import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, json } from '../openai.ts'
import { coverage, objectsIn, parseJson } from '../text.ts'

/** The findings on one question. */
export const section = z.object({
  question: z.string(),
  findings: z.array(z.object({ claim: z.string(), citation: z.string().nullable() })),
})
export type Section = z.infer<typeof section>
const task = z.object({ sections: z.array(section) })
const passageResult = z.object({ passage: z.string(), found: z.boolean(), text: z.string().default('') })

/** Below this share of a claim's content words in its passage, the passage does not carry the claim. */
const supportThreshold = 0.6

/** Looks up every cited passage, then sends back claims that cite nothing, cite what does not exist, or go beyond it. */
export const criticise = (conversation: Conversation): Answer => {
  const sections = task.safeParse(parseJson(conversation.task)).data?.sections ?? sectionsIn(conversation.context)
  const cited = [...new Set(sections.flatMap((section) => section.findings.flatMap((one) => one.citation ?? [])))]
  const lookUp = conversation.tool(/passage/)
  const passages = new Map(
    conversation.toolResults.flatMap((one) => {
      const result = passageResult.safeParse(one.result)
      return result.success ? [[result.data.passage, result.data] as const] : []
    }),
  )
  if (lookUp && cited.some((passage) => !passages.has(passage)) && passages.size === 0)
    return { kind: 'tools', calls: cited.map((passage) => ({ name: lookUp, arguments: { passage } })) }

  const problems = sections.flatMap((section, questionIndex) =>
    section.findings.flatMap(({ claim, citation }) => {
      const problem = problemWith(claim, citation, passages)
      return problem ? [{ questionIndex, claim, problem }] : []
    }),
  )
  return json({ verdict: problems.length > 0 ? 'revise' : 'accept', problems })
}

/** The sections that earlier tasks of a crew gave. */
export const sectionsIn = (context: string): Section[] =>
  objectsIn(context).flatMap((one) => section.safeParse(one).data ?? [])

const problemWith = (
  claim: string,
  citation: string | null,
  passages: ReadonlyMap<string, z.infer<typeof passageResult>>,
): string | undefined => {
  if (citation === null) return 'The claim cites no passage.'
  const passage = passages.get(citation)
  if (!passage?.found) return `The cited passage ${citation} does not exist.`
  if (coverage(claim, passage.text) < supportThreshold) return `The passage ${citation} does not support the claim.`
  return undefined
}
