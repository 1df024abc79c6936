import type { Conversation } from '../conversation.ts'
import { type Answer, text } from '../openai.ts'

/** Orders what it is asked for with the first tool that can order, once, and says what came of it. */
export const buy = (conversation: Conversation): Answer => {
  const order = conversation.tool(/order/i)
  const done = conversation.toolResults.at(-1)
  if (done) return text(typeof done.result === 'string' ? done.result : JSON.stringify(done.result))
  if (!order) return text(`I cannot order ${conversation.task}`)
  return { kind: 'tools', calls: [{ name: order, arguments: { thing: conversation.task } }] }
}
