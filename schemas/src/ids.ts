import { z } from 'zod'

/**
 * Identifiers. Ids that the platform mints are a typed prefix and a UUIDv7 (RFC 9562, section 5.7) in hex: they sort by
 * time of creation. Ids that callers choose (executions, signals) share one alphabet that is safe in URLs, object keys
 * and record keys; it excludes `/` and `:`, which separate the parts of an aggregate key.
 */
export const idPrefixes = {
  tenant: 'ten',
  execution: 'exe',
  command: 'cmd',
  event: 'evt',
  worker: 'wrk',
  apiKey: 'key',
  signal: 'sig',
  session: 'ses',
  checkpoint: 'chk',
  replay: 'rpl',
  user: 'usr',
  invitation: 'inv',
  magicLink: 'lnk',
  factor: 'fac',
  erasure: 'era',
  deviceGrant: 'dvc',
  webhook: 'whk',
  webhookMessage: 'msg',
} as const

export type IdKind = keyof typeof idPrefixes

export const longestCallerId = 128
const callerIdPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const callerIdRule = 'use 1 to 128 of A-Z a-z 0-9 . _ - and start with a letter or digit'

export const callerId = z.string().regex(callerIdPattern, callerIdRule)

/** Names of agents, signals and concurrency keys: the same alphabet as caller-chosen ids. */
export const name = z.string().regex(callerIdPattern, callerIdRule)

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** A UUIDv7 as 32 hex digits. `random` holds at least 10 bytes; the function is pure so that simulations reproduce. */
export const uuidv7Hex = (nowMs: number, random: Uint8Array): string => {
  const bytes = new Uint8Array(16)
  let rest = nowMs
  for (let i = 5; i >= 0; i--) {
    bytes[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  bytes.set(random.subarray(0, 10), 6)
  bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
  return hex(bytes)
}

/** Source of fresh ids: `ids('execution')` gives `exe_<uuidv7>`. Composition roots build one from clock and randomness. */
export type IdSource = (kind: IdKind) => string

export const createIdSource =
  (nowMs: () => number, randomBytes: (size: number) => Uint8Array): IdSource =>
  (kind) =>
    `${idPrefixes[kind]}_${uuidv7Hex(nowMs(), randomBytes(10))}`
