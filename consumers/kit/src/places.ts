import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { AcceptanceCheckpoint, SnapshotStore } from '@omium/log'
import type { Notices } from './notices.ts'

/** Where a follower of one partition goes on. It only saves time, and can always be thrown away. */
export interface Place {
  /** reading goes on from here; null: from the beginning of the log */
  readonly fold: AcceptanceCheckpoint | null
  /** everything that events before this offset ask for is done */
  readonly doneOffset: number
  /** what was known at `fold`; plain JSON */
  readonly memory: unknown
  /** aggregates with an event that could not be taken in */
  readonly passedOver: readonly string[]
}

const placesKept = 2
const zip = promisify(gzip)
const unzip = promisify(gunzip)
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

interface Body extends Omit<Place, 'fold'> {
  readonly version: number
  readonly fold: { readonly nextOffset: number; readonly body: string } | null
}

const encode = (version: number, { fold, ...place }: Place): Promise<Buffer> => {
  const body: Body = { ...place, version, fold: fold && { ...fold, body: fold.body.toString('base64') } }
  const text = JSON.stringify(body)
  return zip(Buffer.from(`${sha256(text)}\n${text}`), { level: 1 })
}

const decode = async (version: number, packed: Buffer): Promise<Place> => {
  const plain = (await unzip(packed)).toString()
  const newline = plain.indexOf('\n')
  const text = plain.slice(newline + 1)
  if (sha256(text) !== plain.slice(0, newline)) throw new Error('its checksum is wrong')
  const { version: found, fold, ...place } = JSON.parse(text) as Body
  if (found !== version) throw new Error(`it is of version ${found}`)
  return { ...place, fold: fold && { ...fold, body: Buffer.from(fold.body, 'base64') } }
}

export interface PlacesOptions {
  readonly store: SnapshotStore
  /** of what is followed and by whom, e.g. `omium.execution.events~recovery` */
  readonly topic: string
  /** of the follower's memory; places of another version are not used */
  readonly version: number
  readonly notices: Notices
}

/** The places of one follower's partitions, beside the snapshots. Trouble with them is said, and no reason to stop. */
export class Places {
  readonly #options: PlacesOptions

  constructor(options: PlacesOptions) {
    this.#options = options
  }

  /** The newest usable one that is no further than the log; null when there is none. */
  async load(partition: number, endOffset: number): Promise<Place | null> {
    const { store, topic, version, notices } = this.#options
    try {
      for (const { key, nextOffset } of await store.list(topic, partition)) {
        if (nextOffset > endOffset) continue
        try {
          return await decode(version, await store.load(key))
        } catch (error) {
          notices.warn(
            { err: error, key },
            'a place to go on from is not usable; an older one or the whole log is read',
          )
        }
      }
    } catch (error) {
      notices.warn({ err: error, topic, partition }, 'places to go on from cannot be listed; the whole log is read')
    }
    return null
  }

  async save(partition: number, place: Place): Promise<void> {
    const { store, topic, version, notices } = this.#options
    try {
      await store.save(topic, partition, place.doneOffset, await encode(version, place))
      for (const { key } of (await store.list(topic, partition)).slice(placesKept)) await store.remove(key)
    } catch (error) {
      notices.warn({ err: error, topic, partition }, 'a place to go on from could not be stored')
    }
  }
}
