import type { Conversation } from '../conversation.ts'
import { type Answer, text } from '../openai.ts'
import { contentStems, sentences } from '../text.ts'

/**
 * Without a role it knows, it calls the tools that its instructions name, each once with the task, and sums up what it was
 * given: the two sentences that share most words with the rest.
 */
export const assist = (conversation: Conversation): Answer => {
  const named = conversation.tools.filter(({ name }) => isNamed(name, `${conversation.system} ${conversation.task}`))
  if (named.length > 0 && conversation.toolResults.length === 0)
    return {
      kind: 'tools',
      calls: named.map(({ name, required }) => ({
        name,
        arguments: Object.fromEntries(required.map((parameter) => [parameter, conversation.task])),
      })),
    }
  const results = conversation.toolResults.map(({ result }) => (typeof result === 'string' ? result : ''))
  const all = sentences([conversation.task, ...results].join(' '))
  if (all.length <= 2) return text(all.join(' ') || 'Nothing was asked.')
  const stems = all.map(contentStems)
  const scored = all.map((sentence, index) => {
    const own = stems[index] ?? new Set<string>()
    let shared = 0
    stems.forEach((other, otherIndex) => {
      if (otherIndex !== index) for (const word of own) if (other.has(word)) shared++
    })
    return { sentence, index, score: shared / Math.sqrt(own.size + 1) }
  })
  const best = scored.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, 2)
  return text(
    best
      .sort((a, b) => a.index - b.index)
      .map((one) => one.sentence)
      .join(' '),
  )
}

/** A plugin's function is called by its own name: `survey` is `Weather-survey`. */
const isNamed = (tool: string, instructions: string): boolean =>
  new RegExp(`\\b${tool.split('-').at(-1)?.replace(/\W/g, '\\$&')}\\b`).test(instructions)
