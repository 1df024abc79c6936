/**
 * The body of a snapshot: a line of JSON that identifies it, and the JSON of acceptance and state, gzipped together.
 * A snapshot can always be thrown away; so whatever is odd about one makes it unusable, never an error of the partition.
 */
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { OmiumError } from '@omium/schemas'
import type { AcceptanceCheckpoint } from './contract.ts'

export interface SnapshotContent {
  readonly machineVersion: number
  readonly acceptance: AcceptanceCheckpoint
  /** JSON text of the machine's encoded state */
  readonly state: string
}

/** Compression as a port: the real one runs on other threads, whose timing a simulation could not reproduce. */
export interface Compression {
  compress(plain: Buffer): Promise<Buffer>
  expand(packed: Buffer): Promise<Buffer>
}

const gzipAsync = promisify(gzip)
const gunzipAsync = promisify(gunzip)
export const gzipCompression: Compression = {
  // level 1: a snapshot is written often and read seldom
  compress: (plain) => gzipAsync(plain, { level: 1 }),
  expand: (packed) => gunzipAsync(packed),
}

interface Head {
  readonly format: 1
  readonly machineVersion: number
  readonly nextOffset: number
  /** bytes of the acceptance checkpoint; the state follows it */
  readonly acceptanceBytes: number
  /** of everything after the first line */
  readonly sha256: string
}

const sha256 = (body: Buffer): string => createHash('sha256').update(body).digest('hex')

export const encodeSnapshot = (content: SnapshotContent, compression: Compression): Promise<Buffer> => {
  const { machineVersion, acceptance } = content
  const body = Buffer.concat([acceptance.body, Buffer.from(content.state)])
  const head: Head = {
    format: 1,
    machineVersion,
    nextOffset: acceptance.nextOffset,
    acceptanceBytes: acceptance.body.length,
    sha256: sha256(body),
  }
  return compression.compress(Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body]))
}

/** @throws OmiumError `snapshot_corrupt` */
export const decodeSnapshot = async (packed: Buffer, compression: Compression): Promise<SnapshotContent> => {
  try {
    const plain = await compression.expand(packed)
    const newline = plain.indexOf(0x0a)
    const head = JSON.parse(plain.subarray(0, newline).toString()) as Head
    const body = plain.subarray(newline + 1)
    if (head.format !== 1) throw new TypeError(`format ${head.format} is unknown`)
    if (sha256(body) !== head.sha256) throw new TypeError('its checksum is wrong')
    return {
      machineVersion: head.machineVersion,
      acceptance: { nextOffset: head.nextOffset, body: body.subarray(0, head.acceptanceBytes) },
      state: body.subarray(head.acceptanceBytes).toString(),
    }
  } catch (cause) {
    throw new OmiumError('snapshot_corrupt', 'the snapshot is not what was written', { cause })
  }
}
