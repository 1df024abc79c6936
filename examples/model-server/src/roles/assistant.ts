import type { Conversation } from '../conversation.ts'
import { type Answer, text } from '../openai.ts'
import { contentStems, sentences } from '../text.ts'

/** Without a role it knows, it sums up what it was given: the two sentences that share most words with the rest. */
export const assist = (conversation: Conversation): Answer => {
  const all = sentences(conversation.task)
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
