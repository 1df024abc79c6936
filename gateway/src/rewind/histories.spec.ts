import type { ExecutionRecord } from '@omium/projection-executions'
import type { Reads } from '@omium/projection-kit'
import { type ExecutionEvent, OmiumError } from '@omium/schemas'
import { beforeEach, describe, expect, it } from 'vitest'
import { createHistories } from './histories.ts'

const requested = {
  type: 'ExecutionRequested',
  data: { executionId: 'run-1', forkedFrom: { executionId: 'run-0', seed: { inline: [] } } },
}
const completed = (n: number) => ({
  type: 'StepCompleted',
  data: { path: `s#${n}`, name: 's', kind: 'step', requestHash: 'h', stepAttempt: 1, output: { inline: n } },
})

let events: { type: string; data: object }[]
let rowsRead: number
let now: number
let broken: boolean
/** of each event */
let bytes: number

const reads = {
  query: async (
    scope: object,
    { values: [tenant, id, after, limit] }: { values: [string, string, number, number] },
  ) => {
    expect(scope).toEqual({ tenant })
    expect([tenant, id]).toEqual([expect.stringMatching(/^ten_/), 'run-1'])
    const rows = events
      .slice(after, after + limit)
      .map((event, i) => ({ ...event, version: after + i + 1, time: new Date(0), bytes }))
    rowsRead += rows.length
    return { rows }
  },
} as unknown as Reads
const payloads = {
  seal: () => Promise.reject(new Error('nothing is stored here')),
  open: async (payload: object) => {
    if (broken) throw new OmiumError('object_corrupt', 'x')
    return (payload as { inline: [] }).inline
  },
}
const record = () => ({ id: 'run-1', version: events.length, createdAt: new Date(0) }) as ExecutionRecord
const histories = () => createHistories(reads, payloads, () => now)

beforeEach(() => {
  events = [requested, ...Array.from({ length: 2_500 }, (_, i) => completed(i))] as unknown as ExecutionEvent[]
  rowsRead = 0
  now = 0
  broken = false
  bytes = 1_000
})

describe('histories', () => {
  it('read each event once, for however many readers', async () => {
    const kept = histories()
    const all = await Promise.all(Array.from({ length: 5 }, () => kept.read('ten_a', record())))
    expect(all.map(({ steps }) => steps.length)).toEqual(Array(5).fill(2_500))
    expect(rowsRead).toBe(2_501)
    events.push(completed(2_500))
    expect((await kept.read('ten_a', record())).steps.at(-1)?.path).toBe('s#2500')
    expect(rowsRead).toBe(2_502)
  })
  it('are kept apart by tenant', async () => {
    const kept = histories()
    await kept.read('ten_a', record())
    await kept.read('ten_b', record())
    expect(rowsRead).toBe(2 * 2_501)
  })
  it('are forgotten after a while, and when they are too large to be kept', async () => {
    const kept = histories()
    await kept.read('ten_a', record())
    now += 60_001
    await kept.read('ten_a', record())
    expect(rowsRead).toBe(2 * 2_501)
    bytes = 30_000
    const others = histories()
    rowsRead = 0
    await others.read('ten_a', record())
    await others.read('ten_a', record())
    expect(rowsRead).toBe(2 * 2_501)
  })
  it('that could not be read are read anew', async () => {
    const kept = histories()
    broken = true
    await expect(kept.read('ten_a', record())).rejects.toMatchObject({ code: 'object_corrupt' })
    broken = false
    expect((await kept.read('ten_a', record())).steps).toHaveLength(2_500)
  })
})
