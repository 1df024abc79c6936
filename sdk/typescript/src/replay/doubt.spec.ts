import { type JournalEntry, requestHashOf, type WorkerMessage } from '@omium/schemas'
import { pino } from 'pino'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { agent } from '../agent.ts'
import type { AnyAgent } from '../context.ts'
import { defaultPrices } from '../llm/prices.ts'
import type { Reconciliation } from '../step.ts'
import { Run, type RunMessage } from './run.ts'
import { StepWatch } from './step-watch.ts'
import { Turns } from './turns.ts'

/** Effects in doubt whose reconciler and whose person are both at work. */

const ids = { executionId: 'run', attempt: 2 }
const log = pino({ level: 'silent' })
const patiently = { timeout: 15_000 }
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

const payer = (ran: string[], reconcile?: () => Promise<Reconciliation<unknown>>): AnyAgent =>
  agent({
    id: 'payer',
    input: z.null(),
    async run(_, ctx) {
      const paid = await ctx.step(
        'pay',
        async ({ idempotencyKey }): Promise<unknown> => {
          ran.push(idempotencyKey)
          return 'paid'
        },
        { effect: reconcile ? { reconcile } : true },
      )
      await ctx.waitFor('go')
      return paid
    },
  }) as AnyAgent

/** Hash of a step without input, as the SDK makes it. */
const requestHash = requestHashOf({ kind: 'step' })
const base = { path: 'pay#1', kind: 'step', requestHash }
const unknown: JournalEntry = { ...base, status: 'unknown', stepAttempt: 1, idempotencyKey: 'idem' }

const begin = (subject: AnyAgent, journal: JournalEntry[] = [unknown]) => {
  const sent: WorkerMessage[] = []
  const turns = new Turns()
  const run = new Run(
    { type: 'assign', ...ids, agentId: 'payer', input: null, journalEntries: journal.length },
    subject,
    {
      send: (message) => sent.push(message),
      schedule: (one) => turns.schedule(one),
      finished: () => {},
      waiting: () => {},
      now: () => 1,
      after: (ms, callback) => {
        const timer = setTimeout(callback, ms)
        return () => clearTimeout(timer)
      },
      uuid: () => 'uuid',
      random: () => 0,
      watch: new StepWatch(() => 0),
      log,
      llm: { complete: () => Promise.reject(new Error('no model here')), prices: defaultPrices },
    },
  )
  run.receive({ type: 'journal', ...ids, entries: journal, last: true })
  const receive = (message: Record<string, unknown>) => run.receive({ ...ids, ...message } as RunMessage)
  return { run, sent, receive, types: () => sent.map((message) => message.type) }
}

describe('an effect in doubt', () => {
  it('that a person settles while its reconciler looks is done, and the run can leave its worker', async () => {
    const answer = Promise.withResolvers<Reconciliation<unknown>>()
    const { run, sent, receive, types } = begin(payer([], () => answer.promise))
    await settle()
    receive({ type: 'resolve', entry: { ...base, status: 'completed', value: 'by hand' } })
    await settle()
    answer.resolve({ status: 'retry' })
    await settle()
    expect(types()).toEqual(['wait_start'])
    receive({ type: 'ack', seq: 1 })
    await settle()
    expect(types()).toEqual(['wait_start', 'waiting'])
    expect(run.running.size).toBe(0)
    expect(sent).not.toContainEqual(expect.objectContaining({ type: 'step_reconciled' }))
  })

  it('that a person lets be tried again while its reconciler looks is tried once', async () => {
    const ran: string[] = []
    const answer = Promise.withResolvers<Reconciliation<unknown>>()
    const { receive, types } = begin(payer(ran, () => answer.promise))
    await settle()
    receive({ type: 'resolve', entry: { ...base, status: 'retrying', stepAttempt: 2, retryAt: 0 } })
    await vi.waitFor(() => expect(types()).toEqual(['step_started']), patiently)
    receive({ type: 'ack', seq: 1, idempotencyKey: 'idem' })
    answer.resolve({ status: 'completed', output: 'too late' })
    await settle()
    expect(types()).toEqual(['step_started', 'step_completed'])
    expect(ran).toEqual(['idem'])
  })

  it('whose person and reconciler both allow another try at the same time is tried once', async () => {
    const ran: string[] = []
    const { receive, types } = begin(payer(ran, async () => ({ status: 'retry' })))
    await settle()
    expect(types()).toEqual(['step_reconciled'])
    const retrying: JournalEntry = { ...base, status: 'retrying', stepAttempt: 2, retryAt: 0 }
    receive({ type: 'resolve', entry: retrying })
    receive({ type: 'ack', seq: 1, entry: retrying })
    await vi.waitFor(() => expect(types()).toEqual(['step_reconciled', 'step_started']), patiently)
    await settle()
    expect(types()).toEqual(['step_reconciled', 'step_started'])
  })

  it('that a person settles before the replay has come to it asks no reconciler', async () => {
    let asked = 0
    const settled = Promise.withResolvers<void>()
    const subject = agent({
      id: 'payer',
      input: z.null(),
      async run(_, ctx) {
        const paid = ctx.step('pay', () => 'paid' as unknown, {
          effect: {
            reconcile: async () => {
              asked++
              return { status: 'retry' }
            },
          },
        })
        // still replaying while the effect is held: a recorded call has not been asked for yet
        await settled.promise
        await ctx.sleep(5)
        return paid
      },
    }) as AnyAgent
    const timer: JournalEntry = {
      path: 'sleep#1',
      kind: 'timer',
      requestHash: requestHashOf({ kind: 'timer', request: { durationMs: 5 } }),
      status: 'completed',
      value: null,
    }
    const { sent, receive } = begin(subject, [timer, unknown])
    await settle()
    receive({ type: 'resolve', entry: { ...base, status: 'completed', value: 'by hand' } })
    settled.resolve()
    await vi.waitFor(() => expect(sent.at(-1)).toMatchObject({ type: 'complete', output: 'by hand' }), patiently)
    expect(asked).toBe(0)
  })
})
