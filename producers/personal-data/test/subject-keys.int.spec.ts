import { randomBytes } from 'node:crypto'
import { freshDatabase } from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import { heldSubject } from '@omium/schemas'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createLocalKms, createPersonalData, createSubjectKeys } from '../src/index.ts'

let pool: pg.Pool
const [first, second] = ['m1', 'm2'].map((id) => ({ id, key: randomBytes(32) })) as [
  { id: string; key: Buffer },
  { id: string; key: Buffer },
]
const digestKey = randomBytes(32)
const withKeys = (...masterKeys: { id: string; key: Buffer }[]) => {
  const kms = createLocalKms(masterKeys)
  return { kms, data: createPersonalData({ kms, keys: createSubjectKeys(pool), digestKey, nowMs: Date.now }) }
}

beforeAll(async () => {
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl)
  pool = new pg.Pool({ connectionString: databaseUrl })
})
afterAll(() => pool?.end())

it('two who seal for a new subject at once use one key', async () => {
  const [a, b] = [withKeys(first).data, withKeys(first).data]
  const sealed = await Promise.all([a.seal('usr_1', 'x'), b.seal('usr_1', 'y')])
  expect(await Promise.all(sealed.map((one) => withKeys(first).data.open(one)))).toEqual(['x', 'y'])
})

it('who erases an address erases what tenants hold of it; a tenant only what it holds itself', async () => {
  const { data } = withKeys(first)
  const address = 'a'.repeat(64)
  const [mine, yours] = ['ten_a', 'ten_b'].map((tenant) => heldSubject(address, tenant)) as [string, string]
  const sealed = await Promise.all(
    [mine, yours, `${address}`, `${address.slice(1)}b`].map((one) => data.seal(one, one)),
  )
  const opened = () => Promise.all(sealed.map((one) => withKeys(first).data.open(one)))
  await data.erase(mine)
  expect((await opened()).map((one) => one !== undefined)).toEqual([false, true, true, true])
  await data.erase(address)
  expect((await opened()).map((one) => one !== undefined)).toEqual([false, false, false, true])
})

it('erased is erased: nothing is left in the database, and nothing comes back', async () => {
  const { data } = withKeys(second, first)
  const sealed = await data.seal('usr_4', 'somebody@example.org')
  await data.erase('usr_4')
  await data.erase('usr_4')
  const { rows } = await pool.query("SELECT wrapped FROM subject_keys WHERE subject = 'usr_4'")
  expect(rows).toEqual([{ wrapped: null }])
  expect(await withKeys(second, first).data.open(sealed)).toBeUndefined()
  const later = await data.seal('usr_4', 'x')
  expect(await Promise.all([later, sealed].map((one) => withKeys(second, first).data.open(one)))).toEqual([
    'x',
    undefined,
  ])
})
