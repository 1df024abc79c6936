import type { AcceptedEvent, LogContext, OpenTail } from '@omium/log'
import { type ExecutionEvent, executionContext } from '@omium/schemas'
import { expect, it } from 'vitest'
import { nextPage, noEffects, noteEffects, without } from './domain/effects.ts'
import { createEffectHistory } from './effect-history.ts'

const head = { attempt: 1, kind: 'tool' as const, stepAttempt: 1, requestHash: 'h' }
const pay = (n: number): ExecutionEvent[] => [
  {
    type: 'StepStarted',
    data: { ...head, path: `pay#${n}`, name: 'pay', intent: { idempotencyKey: `k${n}`, reservedMicroCredits: 0 } },
  },
  {
    type: 'StepCompleted',
    data: { ...head, path: `pay#${n}`, name: 'pay', output: { inline: n }, startedAt: 0, durationMs: 1 },
  },
]
const pays = (count: number): ExecutionEvent[] => Array.from({ length: count }, (_, i) => pay(i + 1)).flat()

/** A log with one run. */
const historyOf = (events: readonly ExecutionEvent[]) => {
  const openTail: OpenTail = async (_context, _requests, { wants = () => true } = {}) => {
    const accepted = events.map(
      ({ type, data }, i) =>
        ({
          envelope: { aggregate: 'execution:t/r', version: i + 1 },
          type,
          data,
          partition: 0,
          offset: i,
        }) as AcceptedEvent,
    )
    const batches = [
      { partition: 0, events: accepted.filter(({ envelope }) => wants(envelope)), nextOffset: events.length },
    ]
    return { next: async () => batches.shift() ?? null, close: async () => {} } as Awaited<ReturnType<OpenTail>>
  }
  const transport = { endOffsets: async () => new Map([[0, events.length]]) }
  const context = { transport, topicPrefix: 'x', definition: executionContext } as unknown as LogContext
  return createEffectHistory(context, openTail)
}

it('gives every effect once, page by page, the latest first', async () => {
  const events = pays(230)
  const history = historyOf(events)
  const read: string[][] = []
  let standing = { effects: [], effectsMade: 230 }
  while (standing.effectsMade > 0) {
    const ranges = nextPage(standing)
    const of = { tenant: 't', executionId: 'r', version: events.length, ranges }
    read.push((await history.read(of)).map(({ path }) => path))
    standing = without(standing, ranges)
  }
  const paths = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `pay#${from + i}`)
  expect(read).toEqual([paths(131, 230), paths(31, 130), paths(1, 30)])
  // the follower remembers exactly the first page
  const remembered = noEffects()
  for (const event of events) noteEffects(remembered, event)
  expect(remembered.made.map(({ effect }) => effect.path)).toEqual(read[0])
})

it('knows neither what was undone before, nor what came later', async () => {
  const undone: ExecutionEvent = {
    type: 'ExecutionRecovered',
    data: { incident: 1, action: { type: 'roll_back', toPath: null, delayMs: 0, undone: true }, by: 'system' },
  }
  const events = [...pays(5), undone, ...pay(6), ...pay(7), ...pay(8)]
  const of = { tenant: 't', executionId: 'r', version: events.length - 2, ranges: [{ from: 0, to: 2 }] }
  expect((await historyOf(events).read(of)).map(({ path }) => path)).toEqual(['pay#6', 'pay#7'])
  await expect(historyOf(events.slice(0, -4)).read(of)).rejects.toMatchObject({ code: 'execution_unknown' })
})
