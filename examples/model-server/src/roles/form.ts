import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, json } from '../openai.ts'
import { contentStems, parseJson, sentences } from '../text.ts'

/** A JSON Schema as far as a form needs it. */
interface Field {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Field>>
  readonly items?: Field
}

const schemaIn = /fits this JSON Schema: (\{.*\})/

/** Whether the system prompt asks for JSON of a shape. */
export const asksForForm = (system: string): boolean => schemaIn.test(system)

/**
 * Fills in the form that a JSON Schema in the system prompt describes, by plain text processing: of given values the one whose
 * words the text has, numbers and addresses as they stand in it, sentences for texts.
 */
export const fillForm = (conversation: Conversation): Answer => {
  const schema = z.custom<Field>().parse(parseJson(schemaIn.exec(conversation.system)?.[1] ?? '{}') ?? {})
  return json(fill(schema, '', conversation.task))
}

const patterns: Readonly<Record<string, RegExp>> = {
  email: /[\w.+-]+@[\w-]+\.[\w.-]*\w/,
  date: /\d{4}-\d{2}-\d{2}/,
  currency: /\b(?:USD|EUR|GBP|CHF)\b/,
  amount: /(?:USD|EUR|\$|€)\s?(\d[\d,]*(?:\.\d+)?)/,
}

const fill = (field: Field, name: string, task: string): unknown => {
  if (field.enum) return choose(field.enum, task)
  const types = typeof field.type === 'string' ? [field.type] : (field.type ?? ['object'])
  const found = patterns[name]?.exec(task)
  if (patterns[name] && !found && types.includes('null')) return null
  if (types.includes('number') || types.includes('integer'))
    return Number((found?.[1] ?? /\d+(?:\.\d+)?/.exec(task)?.[0] ?? '0').replaceAll(',', ''))
  if (types.includes('string')) return found?.[0] ?? sentences(task)[0] ?? task.slice(0, 80)
  if (types.includes('boolean')) return /\b(?:yes|true|ok)\b/i.test(task)
  if (types.includes('array')) return problemsIn(task).map((one) => fill(field.items ?? {}, name, one))
  const members = Object.entries(field.properties ?? {}).map(([key, member]) => [key, fill(member, key, task)])
  return Object.fromEntries(members)
}

/** What to look for when one of several words is to be chosen. */
const hints: Readonly<Record<string, RegExp>> = {
  billing: /invoice|charge|refund|pay/i,
  technical: /error|crash|fail|broken|bug/i,
  account: /password|login|account/i,
  urgent: /urgent|immediately|asap|down\b/i,
  high: /eval|password|secret|inject|delete/i,
  medium: /todo|any\b|catch/i,
}

const choose = (values: readonly unknown[], task: string): unknown => {
  const words = contentStems(task)
  return (
    values.find((value) => hints[String(value)]?.test(task) || words.has(String(value))) ??
    values[Math.min(1, values.length - 1)]
  )
}

/** Lines that say of themselves that something is wrong. */
const problemsIn = (task: string): string[] =>
  task.split('\n').filter((line) => /\b(?:eval|TODO|password)\b/i.test(line))
