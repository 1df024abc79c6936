import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@omium/dev'
import {
  type CaughtMail,
  eventually,
  spawnService,
  startMailCatcher,
  testPlatform,
  testStack,
} from '@omium/dev/testing'
import { createPersonalData, createSubjectKeys, kmsOf, kmsSettings } from '@omium/personal-data'
import { identityProjection } from '@omium/projection-identity'
import { createPool, openLog, rebuild, verify } from '@omium/projection-kit'
import { type ErasureView, identityContext, readSettings } from '@omium/schemas'
import type { Pool } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Browser } from './sign-in/browser.ts'
import { type Dump, dumpOf, type Stores } from './stores.ts'

/** The whole way of personal data, from the sign-in of a person to the day when no store yields it any more. */

const canary = `canary${randomBytes(8).toString('hex')}`
const addressOf = (who: string): string => `${canary}.${who}@erasure.example`
const sealedTexts = /v1\.[A-Za-z0-9_-]+\.\d+\.[A-Za-z0-9_-]{20,}/g

let platform: Awaited<ReturnType<typeof testPlatform>>
let mailServer: Awaited<ReturnType<typeof startMailCatcher>>
let folder: string
const mails: CaughtMail[] = []
let pool: Pool
let log: Awaited<ReturnType<typeof openLog>>
let url: string
let stores: Stores

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'omium-erasure-'))
  mailServer = await startMailCatcher(await freePort(), folder, (mail) => mails.push(mail))
  const wanted = ['migrations', 'log', 'projections', 'identity', 'gateway']
  platform = await testPlatform({ OMIUM_SMTP_URL: mailServer.url }, wanted)
  const { environment: env, layout } = platform
  url = env['OMIUM_URL'] ?? ''
  pool = createPool(env['OMIUM_DATABASE_URL'] ?? '')
  log = await openLog(env, identityContext, 'erasure-spec', () => undefined)
  const { s3, redisUrl } = testStack()
  stores = { pool, log, redisUrl, s3, logs: layout.logs }
}, 240_000)
afterAll(async () => {
  await log?.close()
  await pool?.end()
  await platform?.stop()
  await mailServer?.close()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

class Person {
  readonly browser = new Browser()
  readonly email: string
  userId = ''
  tenant = ''

  constructor(who: string) {
    this.email = addressOf(who)
  }
  async signIn(): Promise<this> {
    const mine = () => mails.filter(({ to }) => to === this.email)
    const before = mine().length
    await this.browser.visit(`${url}/auth/magic-links`, { form: { email: this.email } })
    const link = await eventually(
      () => {
        const found = mine()[before]?.link
        if (!found) throw new Error(`no mail to ${this.email} yet`)
        return found
      },
      { timeoutMs: 30_000 },
    )
    expect((await this.browser.visit(link)).status).toBe(200)
    const { text } = await this.browser.visit(`${url}/auth/session`, { headers: { accept: 'application/json' } })
    Object.assign(this, JSON.parse(text) as { userId: string; tenant: string })
    return this
  }
  async ask(method: string, path: string, json?: unknown) {
    const headers = { accept: 'application/json', origin: url }
    const { status, text } = await this.browser.visit(`${url}${path}`, {
      method,
      headers,
      ...(json !== undefined && { json }),
    })
    return { status, body: text === '' ? undefined : JSON.parse(text) }
  }
}

/** Addresses of canaries that a dump yields: as they are, or out of what is sealed in it, to whoever has all keys that are left. */
const yieldedBy = async (dump: Dump): Promise<{ plain: string[]; opened: Set<string> }> => {
  const settings = readSettings(platform.environment, ['OMIUM_DIGEST_KEY', ...kmsSettings])
  const kms = kmsOf(settings)
  const digestKey = settings.OMIUM_DIGEST_KEY
  const data = createPersonalData({ kms, keys: createSubjectKeys(pool), digestKey, nowMs: Date.now })
  const plain: string[] = []
  const sealed = new Set<string>()
  for (const [place, text] of dump) {
    if (text.includes(canary)) plain.push(place)
    for (const [one] of text.matchAll(sealedTexts)) sealed.add(one)
  }
  const opened = new Set<string>()
  for (const one of sealed) {
    const text = await data.open(one)
    if (text?.includes(canary)) opened.add(text)
  }
  return { plain, opened }
}
const cli = async (...args: string[]): Promise<ErasureView> => {
  const run = await spawnService('sdk/cli/src/main.ts', platform.environment, { args: [...args, '--json'] })
  expect(await run.exited, run.output()).toMatchObject({ code: 0 })
  return JSON.parse(run.output().trim().split('\n').at(-1) ?? '') as ErasureView
}

it('is in no store once it is erased, of users, members, and those who were only ever invited', async () => {
  const [host, guest, third] = [new Person('host'), new Person('guest'), new Person('third')]
  await host.signIn()
  await guest.signIn()
  await third.signIn()
  const [invited, forgotten] = [addressOf('invited'), addressOf('forgotten')]
  for (const email of [guest.email, invited, forgotten])
    expect((await host.ask('POST', '/v1/invitations', { email, role: 'viewer' })).status).toBe(201)
  const [received] = (await guest.ask('GET', '/v1/me/invitations')).body.items
  const accepted = await guest.ask('POST', `/v1/me/invitations/${received.tenant}/${received.id}/accept`, {})
  expect(accepted.status).toBe(200)
  expect((await guest.ask('GET', '/v1/me/data')).body).toMatchObject({
    userId: guest.userId,
    email: guest.email,
    memberships: expect.arrayContaining([expect.objectContaining({ tenant: host.tenant, role: 'viewer' })]),
    sessions: [{ method: 'magic_link' }],
  })

  // it can be found now, but nowhere in the clear
  const before = await yieldedBy(await dumpOf(stores))
  expect(before.plain).toEqual([])
  const people = [guest, host, third].map(({ email }) => email)
  expect([...before.opened].sort()).toEqual([...people, invited, forgotten].sort())

  // a tenant, what it holds
  const { status, body: asked } = await host.ask('POST', '/v1/privacy/erasures', { email: invited })
  expect(status).toBe(201)
  await eventually(
    async () =>
      expect((await host.ask('GET', `/v1/privacy/erasures/${asked.id}`)).body).toMatchObject({
        status: 'completed',
        requestedBy: `user:${host.userId}`,
        memberships: 0,
        invitations: 1,
      }),
    { timeoutMs: 20_000 },
  )
  expect((await host.ask('GET', '/v1/invitations')).body.items).toMatchObject([{ email: forgotten }])
  expect((await third.ask('GET', `/v1/privacy/erasures/${asked.id}`)).status).toBe(404)
  expect((await third.ask('POST', '/v1/privacy/erasures', { userId: guest.userId })).status).toBe(201)
  expect((await host.ask('GET', `/v1/members/${guest.userId}`)).status).toBe(200)

  const nobodys = await cli('privacy', 'erase', addressOf('nobody'))
  expect(nobodys).toMatchObject({ memberships: 0, invitations: 0, requestedBy: expect.stringMatching(/^key:/) })

  // a person, themself: also what they are a member of
  expect((await guest.ask('DELETE', '/v1/me')).status).toBe(202)
  await eventually(async () => expect((await guest.ask('GET', '/v1/me')).status).toBe(401), { timeoutMs: 20_000 })
  await eventually(async () => expect((await host.ask('GET', `/v1/members/${guest.userId}`)).status).toBe(404), {
    timeoutMs: 20_000,
  })

  // the operator, anybody
  expect(await cli('privacy', 'erase', third.email, '--everywhere')).toMatchObject({
    id: third.userId,
    status: 'completed',
  })
  for (const one of [forgotten, third.userId])
    expect(await cli('privacy', 'erase', one, '--everywhere')).toMatchObject({ status: 'completed' })

  await eventually(
    async () => {
      const { rows } = await pool.query(
        `SELECT id, completed_at IS NOT NULL AS done, memberships FROM identity.erasures WHERE tenant = 'omium' ORDER BY id`,
      )
      const ids = [guest.userId, third.userId].sort()
      expect(rows).toEqual(ids.map((id) => ({ id, done: true, memberships: id === guest.userId ? 2 : 1 })))
    },
    { timeoutMs: 30_000 },
  )
  const after = await yieldedBy(await dumpOf(stores))
  expect(after.plain).toEqual([])
  expect([...after.opened]).toEqual([host.email])

  // and everything folds on: anew, by another owner, and for whoever comes back
  expect(await verify({ definition: identityProjection, log, pool })).toMatchObject({ equal: true, difference: null })
  expect(await rebuild({ definition: identityProjection, log, pool })).toMatchObject({ equal: true, switched: true })
  const owner = platform.state.services.find(({ name }) => name === 'identity')
  process.kill(owner?.process.pid ?? 0, 'SIGKILL')
  const again = await new Person('guest').signIn()
  expect(again.userId).not.toBe(guest.userId)
  expect((await again.ask('GET', '/v1/me/data')).body).toMatchObject({ email: again.email, invitations: [] })
}, 240_000)
