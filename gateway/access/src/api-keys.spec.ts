import type { Pool } from 'pg'
import { expect, it } from 'vitest'
import { createApiKeys } from './api-keys.ts'

/** A database that can be away, and what it was asked. */
const bench = () => {
  const state = { now: 1_000_000, away: false, known: true, asked: 0 }
  const query = async (sql: { name?: string } | string) => {
    if (typeof sql === 'string') return { rows: [] }
    state.asked++
    if (state.away) throw new Error('connect ECONNREFUSED')
    return { rows: state.known ? [{ tenant: 'ten_a', keyId: 'k', scopes: ['*'] }] : [] }
  }
  return { state, keys: createApiKeys({ query } as unknown as Pool, () => state.now) }
}

it('asks once for a while, and hears of a revocation after it', async () => {
  const { state, keys } = bench()
  expect(await keys.lookup('om_key')).toMatchObject({ tenant: 'ten_a' })
  await keys.lookup('om_key')
  expect(state.asked).toBe(1)
  state.known = false
  state.now += 5_001
  expect(await keys.lookup('om_key')).toBeUndefined()
})

it('goes on to know a key while the database is away, for some minutes', async () => {
  const { state, keys } = bench()
  await keys.lookup('om_key')
  state.away = true
  for (const minute of [1, 2, 3, 4]) {
    state.now = 1_000_000 + minute * 60_000
    expect(await keys.lookup('om_key')).toMatchObject({ tenant: 'ten_a' })
  }
  state.now = 1_000_000 + 5 * 60_000
  await expect(keys.lookup('om_key')).rejects.toThrow('ECONNREFUSED')
})

it('never takes an unknown key for a good one', async () => {
  const { state, keys } = bench()
  state.known = false
  expect(await keys.lookup('om_key')).toBeUndefined()
  state.away = true
  state.now += 5_001
  await expect(keys.lookup('om_key')).rejects.toThrow('ECONNREFUSED')
  await expect(keys.lookup('om_other')).rejects.toThrow('ECONNREFUSED')
})
