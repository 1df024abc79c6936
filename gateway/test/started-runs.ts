import type { EventView, ExecutionEvent } from '@omium/schemas'
import { expect } from 'vitest'
import type { GatewayWorld } from './gateway-world.ts'

/** Runs that specs start through the gateway, and what they then write into them in the engine's place. */
export const input = { topic: 'logs' }

/** Starts runs of one gateway, with ids of their own. */
export const createStarter = (call: GatewayWorld['call']) => {
  let counter = 0
  const newId = () => `run-${++counter}`
  const start = async (id = newId(), body: object = { agent: 'writer', input, id }) => {
    const reply = await call('POST', '/v1/executions', { body })
    expect(reply.status).toBe(201)
    return { id, position: reply.body.position as string }
  }
  return { newId, start }
}
export type Starter = ReturnType<typeof createStarter>

export const started: ExecutionEvent = { type: 'ExecutionStarted', data: { attempt: 1, workerId: 'w' } }
export const step = (n: number, output: unknown = { n }): ExecutionEvent => ({
  type: 'StepCompleted',
  data: {
    attempt: 1,
    path: `step#${n}`,
    name: 'step',
    kind: 'step',
    stepAttempt: 1,
    requestHash: `h${n}`,
    output: { inline: output as null },
    startedAt: 1_700_000_000_000,
    durationMs: 3,
  },
})
/** More than a reader who takes nothing can be given soon, and no more than one append may hold. */
export const largeSteps = (from: number, count: number): ExecutionEvent[] =>
  Array.from({ length: count }, (_, i) => step(from + i, 'x'.repeat(60_000)))
export const charged = (n: number, costMicroCredits: number): ExecutionEvent => {
  const { type, data } = step(n, 'secret answer') as Extract<ExecutionEvent, { type: 'StepCompleted' }>
  const usage = { model: 'gpt-5', inputTokens: 10, outputTokens: n, costMicroCredits }
  return { type, data: { ...data, input: { inline: 'secret question' }, usage } }
}
export const completed: ExecutionEvent = {
  type: 'ExecutionCompleted',
  data: { attempt: 1, output: { inline: 'done' } },
}

export const versions = (events: EventView[]) => events.map(({ version }) => version)
