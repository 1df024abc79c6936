import { OmiumError } from '@omium/schemas'
import type { SnapshotStore } from '../contract.ts'
import type { Compression } from '../snapshots.ts'
import type { Process, World } from './world.ts'

interface Stored {
  readonly topic: string
  readonly partition: number
  readonly nextOffset: number
  body: Buffer
}

/** Snapshots of one simulated installation; each process reaches them through its own `storeFor`. */
export class SimulatedSnapshots {
  readonly #stored = new Map<string, Stored>()
  readonly #world: World
  /** probability that a stored body is damaged */
  readonly #damage: number

  constructor(world: World, damage: number) {
    this.#world = world
    this.#damage = damage
  }

  get size(): number {
    return this.#stored.size
  }

  storeFor(process: Process): SnapshotStore {
    const world = this.#world
    const after = <T>(compute: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        world.after(
          world.random.between(1, 30),
          () => {
            try {
              resolve(compute())
            } catch (error) {
              reject(error)
            }
          },
          process,
        )
      })
    return {
      list: (topic, partition) =>
        after(() =>
          [...this.#stored]
            .filter(([, s]) => s.topic === topic && s.partition === partition)
            .map(([key, s]) => ({ key, nextOffset: s.nextOffset }))
            .sort((a, b) => b.nextOffset - a.nextOffset),
        ),
      load: (key) =>
        after(() => {
          const stored = this.#stored.get(key)
          if (stored === undefined) throw new OmiumError('object_missing', `there is no snapshot ${key}`)
          return stored.body
        }),
      save: (topic, partition, nextOffset, body) =>
        after(() => {
          const damaged = world.random.chance(this.#damage)
          const kept = damaged ? body.subarray(0, Math.floor(body.length / 2)) : body
          const key = `${topic}/${partition}/${String(nextOffset).padStart(12, '0')}`
          this.#stored.set(key, { topic, partition, nextOffset, body: Buffer.from(kept) })
        }),
      remove: (key) =>
        after(() => {
          this.#stored.delete(key)
        }),
    }
  }
}

/** Compression would run on threads, whose timing no seed controls. */
export const noCompression: Compression = {
  compress: async (plain) => plain,
  expand: async (packed) => packed,
}
