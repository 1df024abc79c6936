import { randomBytes } from 'node:crypto'
import { ensurePythonTool, eventually, freshDatabase, type ServiceHandle, spawnService } from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import { OmiumError, readSettings } from '@omium/schemas'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createPersonalData,
  createSubjectKeys,
  type Kms,
  kmsOf,
  kmsSettings,
  type Rotated,
  rotateKeys,
} from '../src/index.ts'
import { wrappedColumns } from '../src/rotate.ts'

/** Both adapters, AWS's against moto's KMS, and the way from one to the other. */

type Env = Record<string, string>
const credentials = { AWS_ACCESS_KEY_ID: 'spec', AWS_SECRET_ACCESS_KEY: 'spec' }
const masterKey = (id: string): string => `${id}:${randomBytes(32).toString('base64')}`
const [m1, m2] = [masterKey('m1'), masterKey('m2')]
let moto: ServiceHandle
let endpoint: string
let databaseUrl: string
let pool: pg.Pool
const keyIds: string[] = []
const opened: Kms[] = []

const amz = async (target: string, body: object): Promise<Record<string, { KeyId: string }>> => {
  const authorization = 'AWS4-HMAC-SHA256 Credential=spec/20260101/us-east-1/kms/aws4_request'
  const headers = {
    'x-amz-target': `TrentService.${target}`,
    'content-type': 'application/x-amz-json-1.1',
    authorization,
  }
  const response = await fetch(endpoint, { method: 'POST', headers, body: JSON.stringify(body) })
  expect(response.status).toBe(200)
  return (await response.json()) as Record<string, { KeyId: string }>
}
const awsEnv = (keyId = keyIds[0] ?? ''): Env => ({
  OMIUM_KMS: 'aws',
  OMIUM_KMS_KEY_ID: keyId,
  OMIUM_KMS_ENDPOINT: endpoint,
})
const localEnv = (...keys: string[]): Env => ({ OMIUM_KMS: 'local', OMIUM_MASTER_KEYS: keys.join(',') })
const envOf = (env: Env): Env => ({ OMIUM_DATABASE_URL: databaseUrl, ...credentials, ...env })
const kmsFor = (env: Env): Kms => {
  const kms = kmsOf(readSettings(env, kmsSettings))
  opened.push(kms)
  return kms
}
const digestKey = randomBytes(32)
const dataWith = (env: Env) =>
  createPersonalData({ kms: kmsFor(env), keys: createSubjectKeys(pool), digestKey, nowMs: Date.now })

beforeAll(async () => {
  Object.assign(process.env, credentials)
  const { bin } = await ensurePythonTool('moto', 'producers/personal-data/test/moto.lock', { progress: () => {} })
  moto = await spawnService('moto', {}, { command: `${bin}/moto_server`, args: ['-H', '127.0.0.1', '-p', '0'] })
  const [, url = ''] = await moto.waitForLine(/Running on (http:\/\/127\.0\.0\.1:\d+)/, 60_000)
  endpoint = url
  for (let i = 0; i < 2; i++) keyIds.push((await amz('CreateKey', {}))['KeyMetadata']?.KeyId ?? '')
  databaseUrl = await freshDatabase()
  await migrate(databaseUrl)
  pool = new pg.Pool({ connectionString: databaseUrl })
}, 240_000)
afterAll(async () => {
  for (const kms of opened) kms.close()
  await pool?.end()
  await moto?.stop()
})

describe.each([
  ['local', () => localEnv(m1)],
  ['aws', () => awsEnv()],
])('key management: %s', (_name, env) => {
  it('unwraps what it has wrapped, for the same subject only', async () => {
    const kms = kmsFor(env())
    const { key, wrapped } = await kms.generate('usr_a')
    expect(key).toHaveLength(32)
    expect(Buffer.from(wrapped).includes(Buffer.from(key))).toBe(false)
    expect(Buffer.from(await kms.unwrap(wrapped, 'usr_a'))).toEqual(Buffer.from(key))
    const text = Buffer.from('a key of another kind')
    const other = await kms.wrap(text, 'signing_keys/1')
    expect(Buffer.from(await kms.unwrap(other, 'signing_keys/1'))).toEqual(text)
    await expect(kms.unwrap(wrapped, 'usr_b')).rejects.not.toBeInstanceOf(OmiumError)
    const changed = Buffer.from(wrapped)
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    await expect(kms.unwrap(changed, 'usr_a')).rejects.not.toBeInstanceOf(OmiumError)
    expect(kms.isCurrent(wrapped)).toBe(true)
  })
})

it('AWS KMS that is away is `unavailable`; a key that is not there is a wrong setting', async () => {
  const away = kmsFor({ ...awsEnv(), OMIUM_KMS_ENDPOINT: 'http://127.0.0.1:9' })
  await expect(away.generate('usr_a')).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  const unknown = kmsFor(awsEnv('11111111-2222-3333-4444-555555555555'))
  await expect(unknown.generate('usr_a')).rejects.toMatchObject({ code: 'settings_invalid' })
  expect(() => kmsFor({ OMIUM_KMS: 'aws' })).toThrow(/OMIUM_KMS_KEY_ID/)
})

it('an installation moves from local keys to AWS, and from one key of it to the next, while everything stays readable', async () => {
  const sealed = await dataWith(localEnv(m1)).seal('usr_move', 'x')
  const both = { ...awsEnv(), OMIUM_MASTER_KEYS: m1 }
  expect(await dataWith(both).open(sealed)).toBe('x')
  const later = await dataWith(both).seal('usr_late', 'y')
  const rotated = await rotateKeys(envOf(both))
  expect(rotated).toMatchObject({ current: 1, failed: [] })
  expect(rotated.moved).toBeGreaterThan(0)
  expect(await dataWith(awsEnv()).open(sealed)).toBe('x')
  expect(await rotateKeys(envOf(awsEnv(keyIds[1])))).toEqual({ moved: rotated.moved + 1, current: 0, failed: [] })
  const moved = dataWith(awsEnv(keyIds[1]))
  expect([await moved.open(sealed), await moved.open(later)]).toEqual(['x', 'y'])
  await expect(dataWith(localEnv(m1)).open(sealed)).rejects.toMatchObject({ code: 'settings_invalid' })
  await rotateKeys(envOf({ ...localEnv(m1), OMIUM_KMS_KEY_ID: keyIds[1] ?? '', OMIUM_KMS_ENDPOINT: endpoint }))
  expect(await dataWith(localEnv(m1)).open(sealed)).toBe('x')
})

it('everything that key management has wrapped is moved by a rotation', async () => {
  const { rows } = await pool.query(
    `SELECT table_name AS table, column_name AS column FROM information_schema.columns
     WHERE data_type = 'bytea' AND column_name LIKE 'wrapped%' ORDER BY 1`,
  )
  const moved = wrappedColumns.map(({ table, column }) => ({ table, column }))
  expect(moved.sort((a, b) => a.table.localeCompare(b.table))).toEqual(rows)
})

describe('the rotation of master keys', () => {
  const rows = 1_200
  const rotate = (...args: string[]) =>
    spawnService('sdk/cli/src/main.ts', envOf(localEnv(m2, m1)), { args: ['privacy', 'rotate', ...args] })

  it('goes on where it was killed, says what it has moved, and leaves alone what was erased', async () => {
    const data = dataWith(localEnv(m1))
    const sealed = await data.seal('usr_kill', 'x')
    const erased = await data.seal('usr_gone', 'y')
    await data.erase('usr_gone')
    const kms = kmsFor(localEnv(m1))
    const subjects = Array.from({ length: rows }, (_, i) => `usr_many_${i}`)
    const wrapped = await Promise.all(subjects.map((subject) => kms.wrap(randomBytes(32), subject)))
    await pool.query(
      'INSERT INTO subject_keys (subject, version, wrapped) SELECT s, 1, w FROM unnest($1::text[], $2::bytea[]) AS t (s, w)',
      [subjects, wrapped],
    )
    // it cannot end before it is killed
    const held = await pool.connect()
    await held.query('BEGIN')
    await held.query('SELECT 1 FROM subject_keys WHERE subject = $1 FOR UPDATE', [subjects.at(-1)])
    const killed = await rotate()
    await killed.waitForLine(/[1-9]\d* moved/, 60_000)
    await killed.kill()
    // nor is anything that it asked for done afterwards
    await eventually(async () => {
      await pool.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      )
      const { rows: left } = await pool.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'",
      )
      expect(left).toHaveLength(pool.totalCount)
    })
    await held.query('ROLLBACK')
    held.release()
    const current = async () => {
      const { rows: found } = await pool.query<{ subject: string; wrapped: Buffer }>(
        'SELECT subject, wrapped FROM subject_keys WHERE wrapped IS NOT NULL',
      )
      const under = kmsFor(localEnv(m2))
      return { all: found.length, moved: found.filter((row) => under.isCurrent(row.wrapped)).length }
    }
    const { all, moved } = await current()
    expect(moved).toBeGreaterThan(0)
    expect(moved).toBeLessThan(all)
    const again = await rotate('--json')
    expect(await again.exited).toMatchObject({ code: 0 })
    const said = JSON.parse(again.output().trim().split('\n').at(-1) ?? '') as Rotated
    expect(said).toEqual({ moved: all - moved, current: moved, failed: [] })
    expect(await current()).toEqual({ all, moved: all })
    const now = dataWith(localEnv(m2))
    expect([await now.open(sealed), await now.open(erased)]).toEqual(['x', undefined])
  }, 180_000)

  it('names what cannot be unwrapped, and moves the rest', async () => {
    await pool.query(
      `INSERT INTO subject_keys (subject, version, wrapped) VALUES ('usr_torn', 1, (
         SELECT set_byte(wrapped, length(wrapped) - 1, get_byte(wrapped, length(wrapped) - 1) # 1)
         FROM subject_keys WHERE subject = 'usr_kill'))`,
    )
    const rotated = await rotateKeys(envOf(localEnv(m1, m2)))
    expect(rotated).toMatchObject({ current: 0, failed: ['subject_keys/usr_torn/1'] })
    expect(rotated.moved).toBeGreaterThan(rows)
  }, 180_000)
})
