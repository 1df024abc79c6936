import { type JournalEntry, requestHashOf, type WorkerMessage } from '@omium/schemas'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { agent } from '../agent.ts'
import type { AnyAgent } from '../context.ts'
import { defaultPrices } from '../llm/prices.ts'
import { Run, type RunMessage } from './run.ts'
import { StepWatch } from './step-watch.ts'
import { Turns } from './turns.ts'

/** Code that does something of its own before it asks for what is recorded: how long that may take. */

const ids = { executionId: 'run', attempt: 2 }
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** A replay that is suspected, as its code asks for another step while its own work goes on. */
const suspected = async () => {
  const own = Promise.withResolvers<void>()
  const subject = agent({
    id: 'own',
    input: z.null(),
    run: (_, ctx) => Promise.all([own.promise.then(() => ctx.step('recorded', () => 1)), ctx.step('next', () => 2)]),
  }) as AnyAgent
  const sent: WorkerMessage[] = []
  const turns = new Turns()
  const graces: { ms: number; over: () => void }[] = []
  let now = 0
  const run = new Run({ type: 'assign', ...ids, agentId: 'own', input: null, journalEntries: 1 }, subject, {
    send: (message) => sent.push(message),
    schedule: (one) => turns.schedule(one),
    finished: () => {},
    waiting: () => {},
    now: () => now,
    after: (ms, over) => {
      graces.push({ ms, over })
      return () => {}
    },
    uuid: () => 'uuid',
    random: () => 0,
    watch: new StepWatch(() => 0),
    log: pino({ level: 'silent' }),
    llm: { complete: () => Promise.reject(new Error('no model here')), prices: defaultPrices },
  })
  const requestHash = requestHashOf({ kind: 'step' })
  const entry: JournalEntry = { path: 'recorded#1', kind: 'step', requestHash, status: 'completed', value: 1 }
  const receive = (message: Record<string, unknown>) => run.receive({ ...ids, ...message } as RunMessage)
  receive({ type: 'journal', entries: [entry], last: true })
  await settle()
  return {
    own,
    sent,
    /** The grace is over, and is noticed so much later. */
    graceEnds: async (lateMs: number) => {
      const [grace] = graces.splice(0)
      if (!grace) throw new Error('nothing is suspected')
      now += grace.ms + lateMs
      grace.over()
      await settle()
    },
  }
}

it('what does not ask in time for what is recorded is a mismatch', async () => {
  const { sent, graceEnds } = await suspected()
  await graceEnds(5)
  expect(sent).toMatchObject([{ type: 'fail', error: { code: 'replay_mismatch' } }])
})

it('time in which the process stood still is not held against the code', async () => {
  const { own, sent, graceEnds } = await suspected()
  await graceEnds(5000)
  expect(sent).toEqual([])
  own.resolve()
  await settle()
  expect(sent).toMatchObject([{ type: 'step_completed', path: 'next#1' }])
})
