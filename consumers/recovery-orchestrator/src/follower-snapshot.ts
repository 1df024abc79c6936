import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { AcceptanceCheckpoint, SnapshotStore } from '@omium/log'
import type { RunView } from './domain/run.ts'
import type { Notices } from './ports.ts'

/**
 * What a follower knows of the runs of a partition, with the log's acceptance at the same offset: stored once everything up
 * to there has been reported. A snapshot only saves time and can always be thrown away.
 */
export interface Followed {
  readonly runs: Map<string, RunView>
  readonly acceptance: AcceptanceCheckpoint
}

/** changes with whatever `observe` does otherwise with the same events */
const version = 3
const kept = 2
const zip = promisify(gzip)
const unzip = promisify(gunzip)

const encodeRun = (run: RunView) => ({
  ...run,
  seen: [...run.seen],
  children: [...run.children],
  working: [...run.working],
  waits: [...run.waits],
  effects: { ...run.effects, intents: [...run.effects.intents] },
})
type EncodedRun = ReturnType<typeof encodeRun>

const decodeRun = (run: EncodedRun): RunView => ({
  ...run,
  seen: new Set(run.seen),
  children: new Map(run.children),
  working: new Set(run.working),
  waits: new Set(run.waits),
  effects: { ...run.effects, intents: new Map(run.effects.intents) },
})

interface Body {
  readonly version: number
  readonly nextOffset: number
  readonly acceptance: string
  readonly runs: [string, EncodedRun][]
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

export const encodeFollowed = async ({ runs, acceptance }: Followed): Promise<Buffer> => {
  const body: Body = {
    version,
    nextOffset: acceptance.nextOffset,
    acceptance: acceptance.body.toString('base64'),
    runs: [...runs].map(([key, run]) => [key, encodeRun(run)]),
  }
  const text = JSON.stringify(body)
  return zip(Buffer.from(`${sha256(text)}\n${text}`), { level: 1 })
}

/** @throws Error when it is not what was written, or of another version */
export const decodeFollowed = async (packed: Buffer): Promise<Followed> => {
  const plain = (await unzip(packed)).toString()
  const newline = plain.indexOf('\n')
  const text = plain.slice(newline + 1)
  if (sha256(text) !== plain.slice(0, newline)) throw new Error('its checksum is wrong')
  const body = JSON.parse(text) as Body
  if (body.version !== version) throw new Error(`it is of version ${body.version}`)
  return {
    runs: new Map(body.runs.map(([key, run]) => [key, decodeRun(run)])),
    acceptance: { nextOffset: body.nextOffset, body: Buffer.from(body.acceptance, 'base64') },
  }
}

/** The newest usable snapshot that is no newer than the log; null when there is none. */
export const loadFollowed = async (
  store: SnapshotStore,
  topic: string,
  partition: number,
  endOffset: number,
  notices: Notices,
): Promise<Followed | null> => {
  try {
    for (const { key, nextOffset } of await store.list(topic, partition)) {
      if (nextOffset > endOffset) continue
      try {
        return await decodeFollowed(await store.load(key))
      } catch (error) {
        notices.warn({ err: error, key }, 'a snapshot is not usable; an older one or the whole log is read')
      }
    }
  } catch (error) {
    notices.warn({ err: error, partition }, 'snapshots cannot be listed; the whole log is read')
  }
  return null
}

export const storeFollowed = async (
  store: SnapshotStore,
  topic: string,
  partition: number,
  followed: Followed,
  notices: Notices,
): Promise<void> => {
  try {
    await store.save(topic, partition, followed.acceptance.nextOffset, await encodeFollowed(followed))
    for (const { key } of (await store.list(topic, partition)).slice(kept)) await store.remove(key)
  } catch (error) {
    notices.warn({ err: error, partition }, 'a snapshot could not be stored')
  }
}
