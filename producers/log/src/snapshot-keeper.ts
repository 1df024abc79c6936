import { OmiumError } from '@omium/schemas'
import type { AcceptanceFold } from './acceptance.ts'
import type { AcceptanceCheckpoint, OwnerOptions } from './contract.ts'
import { type Counters, messageOf } from './notices.ts'
import { type Compression, decodeSnapshot, encodeSnapshot } from './snapshots.ts'

const keptSnapshots = 3

/** Stores and finds the snapshots of one partition. Whatever goes wrong is a notice: a snapshot only saves time. */
export class SnapshotKeeper<S> {
  readonly #topic: string
  readonly #partition: number
  readonly #options: OwnerOptions<S>
  readonly #compression: Compression
  readonly #counters: Counters

  constructor(
    place: { readonly topic: string; readonly partition: number },
    options: OwnerOptions<S>,
    parts: { readonly compression: Compression; readonly counters: Counters },
  ) {
    this.#topic = place.topic
    this.#partition = place.partition
    this.#options = options
    this.#compression = parts.compression
    this.#counters = parts.counters
  }

  /** The newest usable snapshot; undefined when there is none, and the whole log is to be read. */
  async newest(
    endOffset: () => Promise<number>,
    createFold: () => AcceptanceFold,
  ): Promise<{ state: S; fold: AcceptanceFold } | undefined> {
    const { machine, snapshots } = this.#options
    const found = await snapshots.list(this.#topic, this.#partition).catch((error) => {
      this.#notice('snapshots cannot be listed; the whole log is read', error)
      return []
    })
    if (found.length === 0) return undefined
    const end = await endOffset()
    for (const { key, nextOffset } of found) {
      try {
        if (nextOffset > end) throw new OmiumError('snapshot_corrupt', `it is of ${nextOffset}, the log ends at ${end}`)
        const content = await decodeSnapshot(await snapshots.load(key), this.#compression)
        if (content.machineVersion !== machine.version) continue
        const fold = createFold().restore(content.acceptance)
        return { state: machine.decode(JSON.parse(content.state)), fold }
      } catch (error) {
        this.#notice('a snapshot is not usable; an older one or the whole log is read', error, key)
      }
    }
    return undefined
  }

  /** @param state JSON text of the encoded state that belongs to `acceptance` */
  async store(state: string, acceptance: AcceptanceCheckpoint): Promise<void> {
    const { machine, snapshots } = this.#options
    try {
      const content = { machineVersion: machine.version, acceptance, state }
      const body = await encodeSnapshot(content, this.#compression)
      await snapshots.save(this.#topic, this.#partition, acceptance.nextOffset, body)
      const stored = await snapshots.list(this.#topic, this.#partition)
      for (const { key } of stored.slice(keptSnapshots)) await snapshots.remove(key)
      this.#counters.add('snapshots')
    } catch (error) {
      this.#notice('a snapshot could not be stored', error)
    }
  }

  #notice(message: string, error: unknown, key?: string): void {
    const fields = { partition: this.#partition, error: messageOf(error), ...(key !== undefined && { key }) }
    this.#options.onNotice({ level: 'warn', message, fields })
  }
}
