import type { AcceptedEvent, LogContext, Tail, TailBatch } from '@omium/log'
import { describe, expect, it } from 'vitest'
import { openLive } from './live.ts'

const context = {
  definition: { name: 'execution' },
  topicPrefix: 'spec',
  transport: { endOffsets: async () => new Map([[0, 100]]) },
} as unknown as LogContext

/** A tail that hands out what the spec pushes, breaks when told, and remembers from where it was opened. */
const setUp = async () => {
  const opened: number[] = []
  let push: (batch: TailBatch | Error) => void = () => undefined
  const live = await openLive({
    context,
    checkpoints: async () => new Map(),
    onNotice: () => undefined,
    openTail: async (_context, requests) => {
      opened.push(requests[0]?.fromOffset ?? -1)
      const waiting: (TailBatch | Error)[] = []
      let wake = () => {}
      let closed = false
      push = (batch) => {
        waiting.push(batch)
        wake()
      }
      const tail: Tail = {
        next: async () => {
          for (;;) {
            const next = waiting.shift()
            if (next instanceof Error) throw next
            if (next) return next
            if (closed) return null
            await new Promise<void>((resolve) => {
              wake = resolve
            })
          }
        },
        checkpoint: () => ({ nextOffset: 0, body: Buffer.alloc(0) }),
        close: async () => {
          closed = true
          wake()
        },
      }
      return tail
    },
  })
  return { live, opened, push: (batch: TailBatch | Error) => push(batch) }
}

const event = (offset: number, type: string, envelope: Partial<AcceptedEvent['envelope']>, data: unknown = {}) =>
  ({
    partition: 0,
    offset,
    type,
    data,
    envelope: { version: 1, aggregate: 'execution:ten_a/r', ...envelope },
  }) as AcceptedEvent
const batch = (...events: AcceptedEvent[]): TailBatch => ({
  partition: 0,
  events,
  rejected: [],
  deadLetters: [],
  nextOffset: (events.at(-1)?.offset ?? 99) + 1,
  endOffset: 1000,
})
const commandId = 'cmd_1'

describe('the live tail', () => {
  it('tells who waits what became of a command, at the position of its last event', async () => {
    const { live, push } = await setUp()
    const wait = live.awaitOutcome(commandId, 1000)
    push(
      batch(event(100, 'ExecutionRequested', { commandId }), event(101, 'ExecutionStarted', { commandId, version: 2 })),
    )
    expect(await wait.outcome).toEqual({
      status: 'accepted',
      deduplicated: false,
      position: { partition: 0, offset: 101 },
    })
    expect(live.nextOffset(0)).toBe(102)
    await live.close()
  })

  it('tells refusals, and the recorded outcome of a command that was decided before', async () => {
    const { live, push } = await setUp()
    const refused = { commandType: 'X', code: 'execution_finished', detail: 'over' }
    const wait = live.awaitOutcome(commandId, 1000)
    push(batch(event(100, 'CommandRejected', { commandId, version: 0 }, refused)))
    expect(await wait.outcome).toMatchObject({ status: 'rejected', code: 'execution_finished', detail: 'over' })
    const again = live.awaitOutcome(commandId, 1000)
    push(batch(event(101, 'CommandDeduplicated', { commandId, version: 0 }, { commandType: 'X', outcome: 'accepted' })))
    expect(await again.outcome).toMatchObject({ status: 'accepted', deduplicated: true })
    await live.close()
  })

  it('answers every request that waits for the same command', async () => {
    const { live, push } = await setUp()
    const waits = [1, 2, 3].map(() => live.awaitOutcome(commandId, 1000).outcome)
    push(batch(event(100, 'ExecutionRequested', { commandId })))
    expect(await Promise.all(waits)).toHaveLength(3)
    expect(live.counters.waiting).toBe(0)
    await live.close()
  })

  it('answers a request whose repetition has given up', async () => {
    const { live, push } = await setUp()
    const first = live.awaitOutcome(commandId, 1000)
    live.awaitOutcome(commandId, 1000).cancel()
    await expect(live.awaitOutcome(commandId, 5).outcome).rejects.toMatchObject({ code: 'timeout' })
    push(
      batch(
        event(100, 'ExecutionRequested', { commandId }),
        event(101, 'CommandDeduplicated', { commandId, version: 0 }, { commandType: 'X', outcome: 'accepted' }),
      ),
    )
    expect(await first.outcome).toMatchObject({ deduplicated: false })
    expect(live.counters.waiting).toBe(0)
    await live.close()
  })

  it('lets nobody wait for ever', async () => {
    const { live } = await setUp()
    await expect(live.awaitOutcome(commandId, 5).outcome).rejects.toMatchObject({ code: 'timeout' })
    expect(live.counters.waiting).toBe(0)
    await live.close()
  })

  it('gives subscribers the events of their aggregate only, in order, until they stop', async () => {
    const { live, push } = await setUp()
    const seen: number[] = []
    const stop = live.subscribe('execution:ten_a/r', ({ offset }) => seen.push(offset))
    const other = { aggregate: 'execution:ten_b/r' }
    push(
      batch(
        event(100, 'A', {}),
        event(101, 'B', other),
        event(102, 'CommandRejected', { version: 0 }),
        event(103, 'C', {}),
      ),
    )
    await expect.poll(() => live.nextOffset(0)).toBe(104)
    stop()
    push(batch(event(104, 'D', {})))
    await expect.poll(() => live.nextOffset(0)).toBe(105)
    expect(seen).toEqual([100, 103])
    expect(live.counters.subscriptions).toBe(0)
    await live.close()
  })

  it('goes on where it stood after an error, and says that it is not ready meanwhile', async () => {
    const { live, push, opened } = await setUp()
    push(batch(event(100, 'A', {})))
    await expect.poll(() => live.nextOffset(0)).toBe(101)
    push(new Error('brokers gone'))
    await expect.poll(() => live.notReady()).toBe('brokers gone')
    await expect.poll(() => live.notReady(), { timeout: 15_000 }).toBe(null)
    expect(opened).toEqual([100, 101])
    await live.close()
  })
})
