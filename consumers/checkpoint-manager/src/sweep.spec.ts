import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '@omium/kit'
import { type CheckpointCommand, checkpointObjectKey, parseCheckpointObjectKey } from '@omium/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { commandTo, creation, hour, MemoryPartition, now, objectOf, ref, shaOf, tenant } from '../test/given.ts'
import { referredTo } from './domain/thread.ts'
import { CheckpointManager } from './manager.ts'

/** A manager on a partition in memory, with objects that are really put and removed. */
class World {
  nowMs = now
  readonly objects = new Set<string>()
  readonly partition = new MemoryPartition(() => this.nowMs)
  /** removals that a slow or stopped process has still before it */
  readonly removals: (() => void)[] = []
  holding = false
  readonly manager: CheckpointManager

  constructor() {
    const clock: Clock = { nowMs: () => this.nowMs, after: () => () => {} }
    const count = (): void => {}
    this.manager = new CheckpointManager({
      objects: { store: () => Promise.reject(new Error('not asked for')) },
      listing: {
        pages: () => this.#pages(),
        remove: (key) => {
          if (!this.holding) this.#remove(key)
          return this.holding
            ? new Promise((resolve) => this.removals.push(() => resolve(this.#remove(key))))
            : Promise.resolve()
        },
      },
      history: { journalAt: () => Promise.reject(new Error('not asked for')) },
      clock,
      notices: { info: count, warn: count, error: count },
      measures: { decided: count, corrupted: count, rebuilt: count, swept: count, followed: count },
      partitionOf: () => 0,
    })
    this.manager.owned(this.partition)
  }

  /** of two keys each, so that threads lie across pages */
  async *#pages() {
    for (let last = ''; ; ) {
      const page = [...this.objects]
        .filter((key) => key > last)
        .sort()
        .slice(0, 2)
      last = page.at(-1) ?? ''
      if (page.length === 0) return
      yield page
    }
  }

  #remove(key: string): void {
    if (this.objects.delete(key)) this.removed++
  }
  removed = 0

  store(content: number, thread: string) {
    const object = objectOf(content, this.nowMs, thread)
    this.objects.add(object.key)
    return object
  }

  send(command: CheckpointCommand, thread: string): void {
    void this.manager.command(this.partition, commandTo(command, thread)).catch(() => undefined)
  }

  get lost(): string[] {
    const needed = [...this.partition.state.threads.values()].flatMap((thread) => [...referredTo(thread)])
    return needed.filter((key) => !this.objects.has(key))
  }
}

const thread = fc.constantFrom('one', 'two')
const id = fc.integer({ min: 1, max: 6 }).map((n) => `c${n}`)
const content = fc.integer({ min: 1, max: 4 })
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('store' as const),
      thread,
      id,
      content,
      lateMs: fc.integer({ min: 0, max: 40 * hour }),
      needsParent: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('write' as const), thread, id, content }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), thread, id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), thread }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('pin' as const, 'unpin' as const), thread, id }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('retain' as const), thread, keepLast: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 30 * hour }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('sweep' as const), slowly: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('finish sweeping' as const) }) },
)

describe('garbage collection', () => {
  it('never removes what a checkpoint or a write refers to, however things fall together', async () => {
    let removed = 0
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 80, size: 'max' }), async (actions) => {
        const world = new World()
        const late: { at: number; send: () => void }[] = []
        for (const step of actions) {
          if (step.do === 'store') {
            const object = world.store(step.content, step.thread)
            const data = creation(step.id, { object, needsParent: step.needsParent, parentId: 'c1' })
            // the command may come when the object is long gone
            late.push({
              at: world.nowMs + step.lateMs,
              send: () => world.send({ type: 'CreateCheckpoint', data }, step.thread),
            })
          } else if (step.do === 'write') {
            const data = {
              ...ref(step.id),
              taskId: 't',
              taskPath: '',
              writes: [],
              format: 'x',
              object: world.store(step.content, step.thread),
            }
            world.send({ type: 'AddCheckpointWrites', data }, step.thread)
          } else if (step.do === 'delete')
            world.send({ type: 'DeleteCheckpoints', data: { checkpoints: [ref(step.id)] } }, step.thread)
          else if (step.do === 'forget') world.send({ type: 'DeleteThread', data: {} }, step.thread)
          else if (step.do === 'pin')
            world.send({ type: 'PinCheckpoint', data: { ...ref(step.id), holder: 'h' } }, step.thread)
          else if (step.do === 'unpin')
            world.send({ type: 'UnpinCheckpoint', data: { ...ref(step.id), holder: 'h' } }, step.thread)
          else if (step.do === 'retain')
            world.send({ type: 'SetRetention', data: { retention: { keepLast: step.keepLast } } }, step.thread)
          else if (step.do === 'pass') world.nowMs += step.ms
          else if (step.do === 'sweep') {
            world.holding = step.slowly
            const swept = world.manager.sweep()
            if (!step.slowly) await swept
            else await turn()
          } else for (const go of world.removals.splice(0)) go()
          for (const due of late.splice(0)) {
            if (due.at <= world.nowMs) due.send()
            else late.push(due)
          }
          expect(world.lost).toEqual([])
        }
        removed += world.removed
      }),
      { numRuns: 300 },
    )
    expect(removed, 'the property means something only if there is garbage').toBeGreaterThan(50)
  })

  it('removes what nothing needs any more, once it is old enough, and what nobody ever took up', async () => {
    const world = new World()
    world.send({ type: 'CreateCheckpoint', data: creation('a', { object: world.store(1, 'one') }) }, 'one')
    world.store(2, 'one')
    world.send({ type: 'DeleteThread', data: {} }, 'one')
    world.nowMs += 23 * hour
    expect(await world.manager.sweep()).toBe(0)
    world.nowMs += 2 * hour
    expect(await world.manager.sweep()).toBe(2)
    expect(world.objects.size).toBe(0)
  })

  it('reaches everything page by page, in the order of keys', async () => {
    const world = new World()
    const kept = [1, 5, 9].map((n) => {
      const object = world.store(n, 'one')
      world.send({ type: 'CreateCheckpoint', data: creation(`c${n}`, { object }) }, 'one')
      return object.key
    })
    for (const n of [2, 3, 4, 6, 7, 8]) world.store(n, n % 2 === 0 ? 'one' : 'two')
    world.nowMs += 25 * hour
    expect(await world.manager.sweep()).toBe(6)
    expect([...world.objects]).toEqual(kept)
  })

  it('waits until a deletion is accepted, and removes nothing when it never is', async () => {
    const world = new World()
    world.send({ type: 'CreateCheckpoint', data: creation('a', { object: world.store(1, 'one') }) }, 'one')
    world.nowMs += 48 * hour
    world.partition.automatic = false
    world.send({ type: 'DeleteThread', data: {} }, 'one')
    const sweeping = world.manager.sweep()
    await turn()
    world.partition.fence()
    await expect(sweeping).rejects.toMatchObject({ code: 'log_fenced' })
    expect(world.objects.size).toBe(1)
  })

  it('leaves alone what it does not know', async () => {
    const world = new World()
    world.objects.add('checkpoints/odd')
    world.objects.add(`${checkpointObjectKey(tenant, 'one', shaOf(1), 0)}.copy`)
    expect(await world.manager.sweep()).toBe(0)
    expect(parseCheckpointObjectKey('checkpoints/odd')).toBeUndefined()
  })
})
