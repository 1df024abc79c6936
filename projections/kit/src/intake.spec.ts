import type { AcceptedEvent, Tail, TailBatch } from '@omium/log'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Intake } from './intake.ts'

const batch = (partition: number, from: number, size: number): TailBatch => ({
  partition,
  events: Array.from({ length: size }, (_, i) => ({ partition, offset: from + i }) as AcceptedEvent),
  rejected: [],
  deadLetters: [],
  nextOffset: from + size,
  endOffset: 1_000,
})

/** Hands out batches and then waits, as a tail at the end of the log does. */
const tailOf = (batches: TailBatch[]) => {
  const positions = new Map<number, number>()
  let asked = 0
  let end: (() => void) | undefined
  const tail: Tail = {
    next: async () => {
      asked++
      const next = batches.shift()
      if (next) {
        positions.set(next.partition, next.nextOffset)
        return next
      }
      return new Promise((resolve) => {
        end = () => resolve(null)
      })
    },
    checkpoint: (partition) => ({ nextOffset: positions.get(partition) ?? 0, body: Buffer.from([partition]) }),
    close: async () => end?.(),
  }
  return { tail, asked: () => asked }
}
const settled = () => new Promise((resolve) => setImmediate(resolve))
const options = { maxRecords: 100, checkpointEvery: 1_000, positions: new Map<number, number>() }

describe('the intake', () => {
  it('merges everything that waits into one slice for each partition', async () => {
    const intake = new Intake(tailOf([batch(0, 0, 3), batch(1, 0, 2), batch(0, 3, 4)]).tail, options)
    await settled()
    expect(
      (await intake.take())?.map(({ partition, fromOffset, nextOffset }) => [partition, fromOffset, nextOffset]),
    ).toEqual([
      [0, 0, 7],
      [1, 0, 2],
    ])
    await intake.close()
  })

  it('stops asking the tail when enough waits', async () => {
    const { tail, asked } = tailOf(Array.from({ length: 50 }, (_, i) => batch(0, i * 50, 50)))
    const intake = new Intake(tail, options)
    for (let i = 0; i < 100; i++) await settled()
    expect(asked()).toBe(4)
    await intake.close()
  })

  it('takes a checkpoint of the fold where the batch that it travels with ends', async () => {
    const { tail } = tailOf([batch(0, 0, 60), batch(0, 60, 60), batch(0, 120, 10)])
    const intake = new Intake(tail, { ...options, maxRecords: 1_000, checkpointEvery: 100 })
    await settled()
    const [slice] = (await intake.take()) ?? []
    expect(slice).toMatchObject({ nextOffset: 130, checkpoint: { nextOffset: 120 } })
    await intake.close()
  })

  it('passes on what broke the tail', async () => {
    const { tail } = tailOf([])
    const intake = new Intake({ ...tail, next: () => Promise.reject(new Error('gone')) }, options)
    await expect(intake.take()).rejects.toThrow('gone')
  })

  it('never loses, repeats or reorders, whatever the batches and wherever it is told to stop', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ partition: fc.nat(2), size: fc.integer({ min: 1, max: 30 }) }), { maxLength: 20 }),
        fc.array(fc.nat(60), { minLength: 1, maxLength: 10 }),
        async (shape, stops) => {
          const ends = new Map<number, number>()
          const batches = shape.map(({ partition, size }) => {
            const from = ends.get(partition) ?? 0
            ends.set(partition, from + size)
            return batch(partition, from, size)
          })
          const intake = new Intake(tailOf(batches).tail, options)
          const seen = new Map<number, number[]>()
          const take = async (limits: Map<number, number>) => {
            while ([...limits].some(([partition, limit]) => (seen.get(partition)?.length ?? 0) < limit)) {
              const slices = (await intake.take(limits)) ?? []
              for (const { partition, events, fromOffset, nextOffset } of slices) {
                const offsets = seen.get(partition) ?? []
                expect(fromOffset).toBe(offsets.length)
                offsets.push(...events.map(({ offset }) => offset))
                expect(nextOffset).toBe(offsets.length)
                expect(nextOffset).toBeLessThanOrEqual(limits.get(partition) ?? 0)
                seen.set(partition, offsets)
              }
            }
          }
          for (const stop of stops) await take(new Map([...ends].map(([p, end]) => [p, Math.min(end, stop)])))
          await take(ends)
          for (const [partition, end] of ends) {
            expect(seen.get(partition)).toEqual(Array.from({ length: end }, (_, offset) => offset))
          }
          await intake.close()
        },
      ),
      { numRuns: 40 },
    )
  })
})
