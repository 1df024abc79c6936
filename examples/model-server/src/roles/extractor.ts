import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, json } from '../openai.ts'
import { objectsIn, sentences } from '../text.ts'

const fields = z.record(z.string(), z.string())
const problems = z.object({
  problems: z.array(z.object({ record: z.number().int(), field: z.string(), problem: z.string() })),
})

/**
 * Makes a record of each section of a document (`### heading`), with the fields that its prompt describes in a JSON object.
 * It takes what stands there word for word; where a check sends a value back, it brings it into the form asked for.
 */
export const extract = (conversation: Conversation): Answer => {
  const wanted: Record<string, string> =
    objectsIn(conversation.system)
      .map((one) => fields.safeParse(one).data)
      .find(Boolean) ?? {}
  const sections = conversation.task.split(/^### /m).slice(1)
  const records = sections.map((section): Record<string, unknown> => {
    const [heading = '', ...rest] = section.split('\n')
    const body = rest.join('\n').split(/^## /m)[0] ?? ''
    return Object.fromEntries(Object.entries(wanted).map(([name, what]) => [name, taken(what, heading.trim(), body)]))
  })
  const check = conversation.tool(/check|validate/)
  const verdicts = conversation.toolResults.flatMap((one) => problems.safeParse(one.result).data ?? [])
  for (const { problems: wrong } of verdicts)
    for (const { record, field, problem } of wrong) {
      const one = records[record]
      if (one && field in one) one[field] = mended(String(one[field]), problem)
    }
  const last = verdicts.at(-1)
  if (check && (last === undefined || last.problems.length > 0))
    return { kind: 'tools', calls: [{ name: check, arguments: { records: JSON.stringify(records) } }] }
  return json({ records })
}

/** What a description of a field points to, as it stands there. */
const taken = (what: string, heading: string, body: string): string => {
  const behind = /\bbehind (\w+)/.exec(what)?.[1]
  if (behind) return new RegExp(`\\b${behind}\\s+([^\\s,.]+)`).exec(body)?.[1] ?? ''
  const clause = /\bwhether it is (\w+)/.exec(what)?.[1]
  if (clause) return new RegExp(`[^.,;]*\\b${clause}\\b`).exec(body)?.[0].trim() ?? ''
  if (what.includes('heading')) return heading
  const all = sentences(body)
  return (what.includes('last sentence') ? all.at(-1) : all[0]) ?? ''
}

const mended = (value: string, problem: string): unknown => {
  if (/true or false/.test(problem)) return !/^(not|no|never)\b/i.test(value)
  if (/number/.test(problem)) return Number.parseFloat(value)
  return value
}
