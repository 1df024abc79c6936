import { hashApiKey } from '@omium/migrations'
import type { Pool } from 'pg'

/**
 * Who an API key belongs to. Looked up by hash and remembered for a few seconds, so a revoked key stops working within
 * `cacheMs`. While the database is away, a key that was good a few minutes ago still is: starts go to the log, which may
 * well be there. Keys that don't exist are remembered as well, within a bound: guessing costs the database nothing.
 */
export interface Caller {
  readonly tenant: string
  readonly keyId: string
  readonly scopes: readonly string[]
}

/** `models`: model calls and nothing else. */
export type Scope = 'read' | 'write' | 'worker' | 'models'

export interface ApiKeys {
  /** undefined when the key is unknown, revoked or expired */
  lookup(apiKey: string): Promise<Caller | undefined>
}

/** What the database said about a key, and when, ms. */
interface Answer {
  readonly caller: Caller | undefined
  readonly at: number
}

interface Remembered {
  readonly answer: Promise<Answer>
  readonly until: number
  /** the newest answer that came */
  last: Answer | undefined
}

const mostRemembered = 10_000
/** how long an answer is good when no newer one is to be had */
const outageMs = 5 * 60_000
/** `last_used_at` is as coarse as this */
const touchEveryMs = 60_000

export const createApiKeys = (pool: Pool, nowMs: () => number, cacheMs = 5_000): ApiKeys => {
  const remembered = new Map<string, Remembered>()
  const touched = new Map<string, number>()

  const find = async (hash: Buffer): Promise<Caller | undefined> => {
    const { rows } = await pool.query<Caller>({
      name: 'api-key-by-hash',
      text: `SELECT tenant, id AS "keyId", scopes FROM api_keys
             WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`,
      values: [hash],
    })
    const caller = rows[0]
    if (caller) touch(caller)
    return caller
  }

  const ask = async (hash: Buffer, last: Answer | undefined): Promise<Answer> => {
    try {
      return { caller: await find(hash), at: nowMs() }
    } catch (error) {
      if (last?.caller && nowMs() - last.at < outageMs) return last
      throw error
    }
  }

  const touch = ({ tenant, keyId }: Caller) => {
    const id = `${tenant}/${keyId}`
    if (nowMs() - (touched.get(id) ?? 0) < touchEveryMs) return
    touched.set(id, nowMs())
    // informational: a request neither waits for it nor fails with it
    pool
      .query('UPDATE api_keys SET last_used_at = now() WHERE tenant = $1 AND id = $2', [tenant, keyId])
      .catch(() => touched.delete(id))
  }

  return {
    lookup: async (apiKey) => {
      const hash = hashApiKey(apiKey)
      const key = hash.toString('base64')
      const known = remembered.get(key)
      if (known && known.until > nowMs()) return (await known.answer).caller
      const answer = ask(hash, known?.last)
      const entry: Remembered = { answer, until: nowMs() + cacheMs, last: known?.last }
      remembered.delete(key)
      remembered.set(key, entry)
      if (remembered.size > mostRemembered) remembered.delete(remembered.keys().next().value as string)
      try {
        entry.last = await answer
        return entry.last.caller
      } catch (error) {
        // an error is nobody's identity: the next request asks again
        if (remembered.get(key) === entry) remembered.delete(key)
        throw error
      }
    },
  }
}
