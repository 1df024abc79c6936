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

const newestKept = 2
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

/**
 * Which places are kept: the newest, and landmarks. These are `every` offsets apart at least, and further the older they are, by a
 * quarter of their distance to the newest. So there are few, however long the log; and whoever wants to begin at some offset finds
 * one before it that is nearer, in all likelihood, than half of what follows.
 * @param offsets of places, the newest first
 */
export const keptPlaces = (offsets: readonly number[], every = Number.POSITIVE_INFINITY): ReadonlySet<number> => {
  const kept = new Set(offsets.slice(0, newestKept))
  const [newest = 0] = offsets
  let last = 0
  for (const offset of offsets.toReversed()) {
    if (offset - last < Math.max(every, (newest - offset) / 4)) continue
    kept.add(offset)
    last = offset
  }
  return kept
}

export interface PlacesOptions {
  readonly store: SnapshotStore
  /** of what is followed and by whom, e.g. `omium.execution.events~recovery` */
  readonly topic: string
  /** of the follower's memory; places of another version are not used */
  readonly version: number
  /** how many offsets landmarks are apart; absent: there are none */
  readonly landmarkEvery?: number | undefined
  readonly notices: Notices
}

/** The places of one follower's partitions, beside the snapshots. Trouble with them is said, and no reason to stop. */
export class Places {
  readonly #options: PlacesOptions

  constructor(options: PlacesOptions) {
    this.#options = options
  }

  /** The newest usable one that is no further than an offset, e.g. the end of the log; null when there is none. */
  async load(partition: number, upTo: number, isUsable: (place: Place) => boolean = () => true): Promise<Place | null> {
    const { store, topic, version, notices } = this.#options
    try {
      for (const { key, nextOffset } of await store.list(topic, partition)) {
        if (nextOffset > upTo) continue
        try {
          const place = await decode(version, await store.load(key))
          if (isUsable(place)) return place
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
    const { store, topic, version, landmarkEvery, notices } = this.#options
    try {
      await store.save(topic, partition, place.doneOffset, await encode(version, place))
      const places = await store.list(topic, partition)
      const offsets = places.map(({ nextOffset }) => nextOffset)
      const kept = keptPlaces(offsets, landmarkEvery)
      for (const { key, nextOffset } of places) if (!kept.has(nextOffset)) await store.remove(key)
    } catch (error) {
      notices.warn({ err: error, topic, partition }, 'a place to go on from could not be stored')
    }
  }
}
