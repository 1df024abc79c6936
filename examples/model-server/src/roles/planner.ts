import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, json } from '../openai.ts'
import { capitalise, contentWords, parseJson } from '../text.ts'

const task = z.object({ question: z.string(), maxSubQuestions: z.number().int().min(1).max(10).default(3) })

/** Splits the question into sub-questions by its enumerations and clauses. */
export const plan = (conversation: Conversation): Answer => {
  const parsed = task.safeParse(parseJson(conversation.task))
  const { question, maxSubQuestions } = parsed.success
    ? parsed.data
    : { question: conversation.task, maxSubQuestions: 3 }
  return json({ subQuestions: subQuestionsOf(question).slice(0, maxSubQuestions) })
}

export const subQuestionsOf = (question: string): string[] => {
  const plain = question.trim().replace(/[?.!\s]+$/, '')
  const found = overEnumeration(plain) ?? overClauses(plain)
  return [...new Set(found.map((part) => `${capitalise(part.replace(/\s+/g, ' ').trim())}?`))]
}

/** "How do A, B and C together do X" asks the same of A, of B and of C. Items are one to three words long. */
const overEnumeration = (question: string): string[] | undefined => {
  const item = '[\\p{L}\\p{N}-]+(?:\\s[\\p{L}\\p{N}-]+){0,2}'
  const list = new RegExp(
    `^(?<lead>.*?\\b(?:do|does|are|is|can|of|between|compare)\\s)(?<items>${item}(?:,\\s${item})*,?\\sand\\s${item}?)(?<tail>\\s(?:together\\s|each\\s|jointly\\s)?(?:keep|make|let|help|prevent|protect|work|relate|differ|give|guarantee|ensure|affect|stop|allow|mean|solve)\\b.*)?$`,
    'iu',
  ).exec(question)
  if (!list?.groups?.['items']) return undefined
  const items = list.groups['items'].split(/,\s|\sand\s/).filter(Boolean)
  if (items.length < 2) return undefined
  const tail = (list.groups['tail'] ?? '').replace(/\s(?:together|each|jointly)\s/i, ' ')
  return items.map((one) => `${list.groups?.['lead'] ?? ''}${one}${tail}`)
}

/** Otherwise: each clause that says enough by itself; a question of one clause is looked at from several sides. */
const overClauses = (question: string): string[] => {
  const clauses = question
    .split(/[,;:]\s|\s(?:and|but|while|although)\s/)
    .map((part) => part.replace(/^(?:and|but)\s/, ''))
    .filter((part) => contentWords(part).length >= 2)
  if (clauses.length >= 2) return clauses
  const subject = contentWords(question).slice(0, 4).join(' ')
  return [question, `what is meant by ${subject}`, `what can go wrong with ${subject}`]
}
