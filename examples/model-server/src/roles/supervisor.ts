import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, json, text } from '../openai.ts'
import { contentStems, objectsIn, sentences } from '../text.ts'

const delegation = z.object({ request: z.string(), teams: z.record(z.string(), z.string()) })
const gathered = z.object({ request: z.string(), answers: z.array(z.object({ team: z.string(), answer: z.string() })) })

/** Gives each sentence of a request to the team whose description shares most words with it, then puts answers together. */
export const supervise = (conversation: Conversation): Answer => {
  const [given] = objectsIn(conversation.task)
  const answers = gathered.safeParse(given).data?.answers
  if (answers) return text(answers.map(({ answer }) => answer.trim()).join('\n\n'))
  const { request, teams } = delegation.safeParse(given).data ?? { request: conversation.task, teams: {} }
  const stems = Object.entries(teams).map(([team, what]) => [team, contentStems(what)] as const)
  const parts = new Map<string, string[]>()
  let latest = stems[0]?.[0] ?? ''
  for (const sentence of sentences(request)) {
    const words = contentStems(sentence)
    const scored = stems.map(([team, own]) => ({ team, score: [...words].filter((word) => own.has(word)).length }))
    const [best] = scored.sort((a, b) => b.score - a.score)
    // a sentence that says nothing of its own goes with the one before it
    if (best && best.score > 0) latest = best.team
    parts.set(latest, [...(parts.get(latest) ?? []), sentence])
  }
  return json({ assignments: [...parts].map(([team, said]) => ({ team, task: said.join(' ') })) })
}
