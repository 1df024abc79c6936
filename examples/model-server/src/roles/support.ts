import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, text } from '../openai.ts'
import { contentStems, contentWords, sentences, words } from '../text.ts'

const order = z.object({
  order: z.string(),
  charges: z.array(z.object({ id: z.string(), amount: z.string(), refunded: z.boolean().default(false) })),
})
const found = z.array(z.object({ title: z.string(), text: z.string() }))
const goodbye = 'CLOSED'

/** Hands a ticket to whomever of the offered ones its words fit best; to a person when they fit nobody. */
export const triage = (conversation: Conversation): Answer => {
  const answered = colleagueIn(conversation)
  if (answered) return answered
  const desks = conversation.tools.filter(({ name }) => /transfer|handoff/.test(name))
  const asked = contentStems(conversation.task)
  const scored = desks
    .map(({ name, description }) => ({
      name,
      score: [...contentStems(description)].filter((word) => asked.has(word)).length,
    }))
    .sort((a, b) => b.score - a.score || Number(/person/.test(b.name)) - Number(/person/.test(a.name)))
  const [best] = scored
  if (!best) return text(`Nobody is here to help. ${goodbye}`)
  const chosen = best.score > 0 ? best : (scored.find(({ name }) => /person/.test(name)) ?? best)
  return { kind: 'tools', calls: [{ name: chosen.name, arguments: {} }] }
}

/** Looks up the order or the pages that a ticket speaks of, acts on what it found, and answers. */
export const support = (conversation: Conversation): Answer => {
  const answered = colleagueIn(conversation)
  if (answered) return answered
  const { task } = conversation
  const results = <T>(tool: RegExp, shape: z.ZodType<T>): T[] =>
    conversation.toolResults.flatMap((one) => (tool.test(one.tool) ? (shape.safeParse(one.result).data ?? []) : []))
  const called = (tool: RegExp) => conversation.toolResults.findLast((one) => tool.test(one.tool))
  const number = /\b[A-Z]-\d{3,}\b/.exec(task)?.[0]
  const lookUp = conversation.tool(/look_up|order/)
  if (lookUp && number && !called(/look_up|order/))
    return { kind: 'tools', calls: [{ name: lookUp, arguments: { order: number } }] }

  const refunded = called(/refund/)
  if (refunded) return text(`${plain(refunded.result)} Please excuse the trouble. ${goodbye}`)
  const [known] = results(/look_up|order/, order)
  if (known) {
    const refund = conversation.tool(/refund/)
    const twice = known.charges.find(
      (charge, index) => !charge.refunded && known.charges.findIndex((one) => one.amount === charge.amount) < index,
    )
    if (refund && twice && words(task).some((word) => /^(refund|twice|double|back)/.test(word)))
      return { kind: 'tools', calls: [{ name: refund, arguments: { order: known.order, charge: twice.id } }] }
    const charges = known.charges.map(({ id, amount }) => `${id} (${amount})`).join(', ')
    return text(`Order ${known.order} has these charges: ${charges}. None of them is doubled. ${goodbye}`)
  }

  const search = conversation.tool(/search/)
  if (search && !called(/search/))
    return { kind: 'tools', calls: [{ name: search, arguments: { query: queryOf(task) } }] }
  const [page] = results(/search/, found).flat()
  if (page) return text(`About ${page.title}: ${telling(page.text, task)} ${goodbye}`)
  const person = conversation.tool(/person/)
  if (person) return { kind: 'tools', calls: [{ name: person, arguments: {} }] }
  return text(`I found nothing about this. ${goodbye}`)
}

/** Passes on what a person said to whom the ticket had been handed. */
const colleagueIn = ({ later }: Conversation): Answer | undefined => {
  const said = later.findLast((message) => !message.startsWith('Transferred to '))
  return said === undefined ? undefined : text(`A colleague looked into it: ${said}\n\n${goodbye}`)
}

/** Names of things as they are written, then the other words that carry meaning. */
const queryOf = (task: string): string =>
  [...(task.match(/\b\w+_\w+\b/g) ?? []), ...contentWords(task.replace(/\b\w+_\w+\b/g, ''))].join(' ')

const plain = (result: unknown): string => (typeof result === 'string' ? result : JSON.stringify(result))

/** Up to three sentences of a page: those that share words with the question, in their order; else the first. */
const telling = (page: string, question: string): string => {
  const asked = contentStems(question)
  const all = sentences(page).map((sentence, index) => ({
    sentence,
    index,
    shared: [...contentStems(sentence)].filter((word) => asked.has(word)).length,
  }))
  const best = all.toSorted((a, b) => b.shared - a.shared || a.index - b.index).slice(0, 3)
  return best
    .sort((a, b) => a.index - b.index)
    .map(({ sentence }) => sentence)
    .join(' ')
}
