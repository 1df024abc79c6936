import type { Kms } from '@omium/personal-data'
import { OmiumError } from '@omium/schemas'
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
  importJWK,
  importPKCS8,
  type JWK,
} from 'jose'
import type { Pool, PoolClient } from 'pg'
import { dueKey, isBelieved, type KeyTimes, signingKey } from './key-schedule.ts'

/**
 * The installation's signing keys (Ed25519), shared by all gateways through PostgreSQL; private halves are wrapped by the key
 * management and never leave a process in the clear.
 *
 * 1. One gateway makes a key that is due, under a lock; the others find it.
 * 2. A gateway reads the keys again every minute, and at once when it meets a key that it does not know (not more often than
 *    every few seconds: guessing costs the database nothing). A deleted key is believed by nobody a minute later.
 * 3. While the database is away, the keys that were read go on.
 */
export interface SigningKeys {
  /** @throws OmiumError `unavailable` when there is none */
  signing(): Promise<{ readonly kid: string; readonly privateKey: CryptoKey }>
  /** undefined for a key that is unknown or no longer believed */
  verifying(kid: string): Promise<CryptoKey | undefined>
  /** the public halves, as RFC 7517 publishes them */
  published(): { readonly keys: readonly JWK[] }
  refresh(): Promise<void>
  close(): void
}

export const algorithm = 'EdDSA'

interface Row {
  readonly kid: string
  readonly publicJwk: JWK
  readonly wrappedPrivate: Buffer
  readonly signsFrom: Date
  readonly signsUntil: Date
}

interface SigningKey extends KeyTimes {
  readonly kid: string
  readonly publicJwk: JWK
  readonly publicKey: CryptoKey
  readonly privateKey: CryptoKey
}

/** arbitrary, the same in every version */
const lockKey = 6_210_302
const refreshEveryMs = 60_000
const askAgainMs = 5_000

const readRows = async (client: Pool | PoolClient): Promise<Row[]> => {
  const { rows } = await client.query<Row>(
    `SELECT kid, public_jwk AS "publicJwk", wrapped_private AS "wrappedPrivate", signs_from AS "signsFrom",
            signs_until AS "signsUntil"
     FROM signing_keys ORDER BY signs_from`,
  )
  return rows
}

const timesOf = ({ signsFrom, signsUntil }: Row): KeyTimes => ({
  signsFrom: signsFrom.getTime(),
  signsUntil: signsUntil.getTime(),
})

/** whom the private half is wrapped for; the rotation of keys says the same */
const subjectOf = (kid: string): string => `signing_keys/${kid}`

const createRow = async (times: KeyTimes, kms: Kms): Promise<Row> => {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { crv: 'Ed25519', extractable: true })
  const jwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  return {
    kid,
    publicJwk: { ...jwk, kid, alg: algorithm, use: 'sig' },
    wrappedPrivate: Buffer.from(await kms.wrap(Buffer.from(await exportPKCS8(privateKey)), subjectOf(kid))),
    signsFrom: new Date(times.signsFrom),
    signsUntil: new Date(times.signsUntil),
  }
}

const insert = (client: PoolClient, row: Row): Promise<unknown> =>
  client.query(
    `INSERT INTO signing_keys (kid, public_jwk, wrapped_private, signs_from, signs_until) VALUES ($1, $2, $3, $4, $5)`,
    [row.kid, row.publicJwk, row.wrappedPrivate, row.signsFrom, row.signsUntil],
  )

/** Makes what is due and forgets what nobody believes any more, one gateway at a time. */
const rotate = async (pool: Pool, kms: Kms, nowMs: number): Promise<Row[]> => {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_xact_lock($1)', [lockKey])
    const rows = await readRows(client)
    const kept = rows.filter((row) => isBelieved(timesOf(row), nowMs))
    const gone = rows.filter((row) => !kept.includes(row)).map(({ kid }) => kid)
    if (gone.length > 0) await client.query('DELETE FROM signing_keys WHERE kid = ANY($1)', [gone])
    const due = dueKey(kept.map(timesOf), nowMs)
    if (due) {
      const row = await createRow(due, kms)
      await insert(client, row)
      kept.push(row)
    }
    await client.query('COMMIT')
    return kept
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  } finally {
    client.release()
  }
}

/** @throws what the database or the key management throws: a gateway that cannot sign does not start */
export const openSigningKeys = async (
  pool: Pool,
  kms: Kms,
  nowMs: () => number,
  onNotice: (message: string, error: unknown) => void,
): Promise<SigningKeys> => {
  let keys: readonly SigningKey[] = []
  let askedAt = 0
  let running: Promise<void> | undefined

  const opened = async (row: Row): Promise<SigningKey> => {
    const known = keys.find(({ kid }) => kid === row.kid)
    if (known) return known
    const pkcs8 = Buffer.from(await kms.unwrap(row.wrappedPrivate, subjectOf(row.kid))).toString('utf8')
    const publicKey = await importJWK(row.publicJwk, algorithm)
    if (publicKey instanceof Uint8Array) throw new OmiumError('internal', `signing key ${row.kid} is not asymmetric`)
    return {
      kid: row.kid,
      publicJwk: row.publicJwk,
      publicKey,
      privateKey: await importPKCS8(pkcs8, algorithm),
      ...timesOf(row),
    }
  }
  const load = async (): Promise<void> => {
    askedAt = nowMs()
    let rows = (await readRows(pool)).filter((row) => isBelieved(timesOf(row), nowMs()))
    if (dueKey(rows.map(timesOf), nowMs())) rows = await rotate(pool, kms, nowMs())
    keys = await Promise.all(rows.map(opened))
  }
  const refresh = (): Promise<void> => {
    running ??= load().finally(() => {
      running = undefined
    })
    return running
  }
  const refreshQuietly = () => refresh().catch((error) => onNotice('the signing keys cannot be read', error))

  await refresh()
  const timer = setInterval(refreshQuietly, refreshEveryMs)
  timer.unref()

  const believed = (kid: string) => keys.find((key) => key.kid === kid && isBelieved(key, nowMs()))
  return {
    signing: async () => {
      if (!signingKey(keys, nowMs())) await refresh()
      const key = signingKey(keys, nowMs())
      if (!key) throw new OmiumError('unavailable', 'there is no signing key for the moment')
      return key
    },
    verifying: async (kid) => {
      if (!believed(kid) && nowMs() - askedAt >= askAgainMs) await refreshQuietly()
      return believed(kid)?.publicKey
    },
    published: () => ({ keys: keys.filter((key) => isBelieved(key, nowMs())).map(({ publicJwk }) => publicJwk) }),
    refresh,
    close: () => clearInterval(timer),
  }
}
