import { randomBytes } from 'node:crypto'
import { freshDatabase } from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import { createLocalKms } from '@omium/personal-data'
import { decodeProtectedHeader } from 'jose'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createAccessTokens } from '../src/tokens/access-tokens.ts'
import { believedAfterMs, publishedAheadMs, signsForMs } from '../src/tokens/key-schedule.ts'
import { openSigningKeys, type SigningKeys } from '../src/tokens/signing-keys.ts'

const masterKey = { id: 'm1', key: randomBytes(32) }
const kms = createLocalKms([masterKey])
const clock = { nowMs: Date.now() }
const opened: SigningKeys[] = []
let pool: pg.Pool

beforeAll(async () => {
  const connectionString = await freshDatabase()
  await migrate(connectionString)
  pool = new pg.Pool({ connectionString })
})
afterAll(async () => {
  for (const keys of opened) keys.close()
  await pool?.end()
})

const open = async (over = kms): Promise<SigningKeys> => {
  const keys = await openSigningKeys(
    pool,
    over,
    () => clock.nowMs,
    () => undefined,
  )
  opened.push(keys)
  return keys
}
const kids = (keys: SigningKeys) => keys.published().keys.map(({ kid }) => kid)
const claims = {
  userId: 'usr_a',
  sessionId: 'ses_a',
  tenant: 'ten_a',
  amr: [],
  authenticatedAt: 0,
  client: 'cli' as const,
}

it('is one key for gateways that start together; its private half is stored wrapped', async () => {
  const gateways = await Promise.all([open(), open(), open()])
  const [first] = gateways.map(kids)
  expect(first).toHaveLength(1)
  for (const gateway of gateways) expect(kids(gateway)).toEqual(first)
  const { rows } = await pool.query('SELECT signing_keys::text AS text, wrapped_private FROM signing_keys')
  expect(rows[0].text).not.toContain('PRIVATE')
  expect(rows[0].wrapped_private.toString('latin1')).not.toContain('PRIVATE')
  await expect(open(createLocalKms([{ id: 'm2', key: randomBytes(32) }]))).rejects.toMatchObject({
    code: 'settings_invalid',
  })
})

it('rotates: the next key is published a day ahead, and the last one is believed until its tokens are over', async () => {
  const [a, b] = [await open(), await open()]
  const tokensOf = (keys: SigningKeys) => createAccessTokens('https://omium.example', keys, () => clock.nowMs)
  const kidOf = async (keys: SigningKeys) => decodeProtectedHeader(await tokensOf(keys).mint(claims)).kid
  const old = await kidOf(a)
  clock.nowMs += signsForMs - publishedAheadMs
  await a.refresh()
  expect(kids(a)).toHaveLength(2)
  expect(await kidOf(a)).toBe(old)
  clock.nowMs += publishedAheadMs - 60_000
  const last = await tokensOf(a).mint(claims)
  clock.nowMs += 60_000
  const next = await tokensOf(a).mint(claims)
  expect(decodeProtectedHeader(next).kid).not.toBe(old)
  // the other gateway has not read the keys since: it asks when it meets one that it does not know
  expect(await tokensOf(b).verify(next)).toMatchObject({ userId: 'usr_a' })
  expect(await tokensOf(b).verify(last)).toMatchObject({ userId: 'usr_a' })
  clock.nowMs += believedAfterMs
  await b.refresh()
  expect(kids(b)).not.toContain(old)
})

it('ends at once for a key that is taken away', async () => {
  const keys = await open()
  const tokens = createAccessTokens('https://omium.example', keys, () => clock.nowMs)
  const token = await tokens.mint(claims)
  await pool.query('DELETE FROM signing_keys')
  await keys.refresh()
  await expect(tokens.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' })
  expect(await tokens.verify(await tokens.mint(claims))).toMatchObject({ userId: 'usr_a' })
})
