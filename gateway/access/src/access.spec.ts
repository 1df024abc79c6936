import { randomBytes } from 'node:crypto'
import type { Reads } from '@omium/projection-kit'
import {
  apiKeyBytes,
  formatApiKey,
  hashApiKey,
  isKeyOf,
  type OmiumError,
  type Permission,
  parseApiKey,
  type Role,
} from '@omium/schemas'
import Fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { type ApiKeys, createApiKeys } from './api-keys.ts'
import { type Caller, reaches } from './caller.ts'
import { callerOf, installGuard, routeRules } from './guard.ts'
import { createMembers } from './members.ts'
import { inRanges } from './ranges.ts'
import type { Reached } from './remembered.ts'
import { requireOwnSignIn } from './sso-demand.ts'

const pepper = { version: 1, key: Buffer.alloc(32, 1) }
const newer = { version: 2, key: Buffer.alloc(32, 2) }
const newKey = (environment: 'live' | 'test' = 'test') => formatApiKey(environment, randomBytes(apiKeyBytes))

/** A database that can be away, and what it was asked. */
const bench = (entry: Record<string, unknown> = {}) => {
  const key = newKey()
  const id = parseApiKey(key)?.keyId
  const state = { now: 1_000_000, away: false, known: true, asked: 0, followed: true, hangs: false }
  const row = () => ({
    tenant: 'ten_a',
    id,
    permissions: ['executions:read'],
    workflows: null,
    agents: null,
    ranges: [],
    tenantRanges: [],
    hours: [],
    tenantHours: [],
    expiresAt: null,
    revokedAt: null,
    ...hashApiKey(key, [pepper]),
    ...entry,
  })
  const query = async ({ tenant }: { tenant?: string }, sql: { values: unknown[] } | string) => {
    if (typeof sql === 'string') return { rows: [] }
    if (state.away) throw new Error('connect ECONNREFUSED')
    if (state.hangs) await new Promise(() => undefined)
    if (tenant !== undefined) return { rows: [row()] }
    state.asked++
    return { rows: state.known && sql.values[0] === id ? [{ tenant: 'ten_a' }] : [] }
  }
  const reads = { query } as unknown as Reads
  const keys = createApiKeys({
    reads,
    peppers: [newer, pepper],
    environment: 'test',
    isFollowed: async () => state.followed,
    nowMs: () => state.now,
  })
  return { state, key, id: id as string, keys, lookup: (given = key, ip = '127.0.0.1') => keys.lookup(given, ip) }
}

describe('an API key', () => {
  it('is asked for once in a while, and a revocation is heard of after it', async () => {
    const { state, lookup } = bench()
    expect(await lookup()).toMatchObject({ tenant: 'ten_a', permissions: new Set(['executions:read']) })
    await lookup()
    expect(state.asked).toBe(1)
    state.known = false
    state.now += 3_001
    expect(await lookup()).toBeUndefined()
  })
  it('stops at once where the log is followed, however late the database is', async () => {
    const { lookup, keys, id, state } = bench()
    expect(await lookup()).toBeDefined()
    keys.revoked('ten_a', id)
    expect(await lookup()).toBeUndefined()
    state.away = true
    state.now += 60_000
    await expect(lookup()).resolves.toBeUndefined()
  })
  it.each([
    ['it changed', (keys: ApiKeys, id: string, reached: Reached) => keys.changed(id, reached)],
    ['its tenant did', (keys: ApiKeys, _id: string, reached: Reached) => keys.tenantChanged('ten_a', reached)],
  ])('waits, when %s, until the database has it, and is refused where that does not come', async (_what, change) => {
    const { state, lookup, keys, id } = bench()
    const { promise: caughtUp, resolve: catchUp } = Promise.withResolvers<boolean>()
    await lookup()
    change(keys, id, () => caughtUp)
    const waits = lookup()
    expect(state.asked).toBe(1)
    catchUp(true)
    expect(await waits).toBeDefined()
    change(keys, id, async () => false)
    for (const away of [false, true]) {
      state.away = away
      await expect(lookup()).rejects.toMatchObject({ code: 'unavailable' })
    }
    // others are not held up by it
    change(keys, 'key_other', async () => false)
  })
  it('that nobody has asked for is held to what changed for its tenant, too', async () => {
    const { lookup, keys } = bench()
    keys.tenantChanged('ten_a', async () => false)
    await expect(lookup()).rejects.toMatchObject({ code: 'unavailable' })
    keys.tenantChanged('ten_a', async () => true)
    expect(await lookup()).toBeDefined()
  })
  it('is not known any more while the database is away and the log is not heard', async () => {
    const { state, lookup } = bench()
    await lookup()
    state.away = true
    state.followed = false
    state.now += 3_001
    await expect(lookup()).rejects.toThrow('ECONNREFUSED')
    state.followed = true
    expect(await lookup()).toBeDefined()
  })
  it('goes on to be known when the database hangs', async () => {
    const { state, lookup } = bench()
    await lookup()
    state.hangs = true
    state.now += 3_001
    expect(await lookup()).toMatchObject({ tenant: 'ten_a' })
  })
  it('goes on to be known while the database is away, for some minutes', async () => {
    const { state, lookup } = bench()
    await lookup()
    state.away = true
    for (const minute of [1, 2, 3, 4]) {
      state.now = 1_000_000 + minute * 60_000
      expect(await lookup()).toMatchObject({ tenant: 'ten_a' })
    }
    state.now = 1_000_000 + 5 * 60_000
    await expect(lookup()).rejects.toThrow('ECONNREFUSED')
  })
  it('is never taken for a good one when it is unknown', async () => {
    const { state, lookup } = bench()
    const other = newKey()
    expect(await lookup(other)).toBeUndefined()
    state.away = true
    state.now += 5_001
    await expect(lookup(other)).rejects.toThrow('ECONNREFUSED')
  })
  it('is refused without asking anybody when it cannot be one', async () => {
    const { state, key, lookup } = bench()
    for (const bad of ['om_test_key', `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`, newKey('live')])
      await expect(lookup(bad)).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(state.asked).toBe(0)
  })
  it('is not the key of another id, of another pepper, or of one that is gone', () => {
    const key = newKey()
    const hash = hashApiKey(key, [pepper])
    expect(isKeyOf(key, hash, [newer, pepper])).toBe(true)
    expect(isKeyOf(newKey(), hash, [newer, pepper])).toBe(false)
    expect(isKeyOf(key, hash, [newer])).toBe(false)
    expect(hashApiKey(key, [newer, pepper]).pepper).toBe(2)
  })
  it.each([
    ['expired', { expiresAt: new Date(1_000_000) }],
    ['revoked', { revokedAt: new Date(0) }],
    ['of another hash', { digest: 'a'.repeat(64) }],
  ])('does not work when %s', async (_what, entry) => {
    expect(await bench(entry).lookup()).toBeUndefined()
  })
  it.each([
    ['its own ranges', { ranges: ['10.0.0.0/8'] }],
    ["its tenant's ranges", { tenantRanges: ['10.0.0.0/8'] }],
  ])('works only from %s', async (_what, entry) => {
    const { key, lookup } = bench(entry)
    expect(await lookup(key, '10.1.2.3')).toBeDefined()
    await expect(lookup(key, '192.168.0.1')).rejects.toMatchObject({ code: 'forbidden' })
  })
})

const never = [{ days: ['mon'], from: '00:00', to: '00:01', timeZone: 'UTC' }]
it.each([{ hours: never }, { tenantHours: never }])(
  'a key works only at its hours, and those of its tenant: %j',
  async (entry) => {
    const { lookup } = bench(entry)
    await expect(lookup()).rejects.toMatchObject({ code: 'outside_hours' })
  },
)

it('addresses are in ranges of either family, and nowhere else', () => {
  expect(inRanges([], '1.2.3.4')).toBe(true)
  expect(inRanges(['1.2.3.4'], '1.2.3.4')).toBe(true)
  expect(inRanges(['1.2.3.0/24'], '::ffff:1.2.3.9')).toBe(true)
  expect(inRanges(['2001:db8::/32'], '2001:db8::1')).toBe(true)
  expect(inRanges(['1.2.3.0/24', '2001:db8::/32'], '1.2.4.1')).toBe(false)
  expect(inRanges(['1.2.3.0/24'], '2001:db8::1')).toBe(false)
})

it('a limited key reaches the runs of its agents and workflows, and no others', () => {
  const limited = { limits: { workflows: ['nightly'], agents: ['writer'] } }
  expect(reaches({ limits: undefined }, { agent: 'any', id: 'x' })).toBe(true)
  expect(reaches(limited, { agent: 'writer', id: 'x' })).toBe(true)
  expect(reaches(limited, { agent: 'omium.workflow', id: 'wf.nightly.1' })).toBe(true)
  expect(reaches(limited, { agent: 'omium.workflow', id: 'wf.nightly.extra.1' })).toBe(true)
  expect(reaches(limited, { agent: 'omium.workflow', id: 'wf.nightly2.nightly.1' })).toBe(false)
  expect(reaches(limited, { agent: 'omium.workflow', id: 'nightly.1' })).toBe(false)
  expect(reaches(limited, { agent: 'reader', id: 'wf.nightly.1' })).toBe(false)
})

describe('the guard', () => {
  const guarded = async (permissions: readonly Permission[], limits?: Caller['limits']) => {
    const app = Fastify()
    const caller: Caller = {
      tenant: 'ten_a',
      id: 'key_1',
      actor: 'key:key_1',
      permissions: new Set(permissions),
      limits,
      session: undefined,
      role: undefined,
    }
    const apiKeys = {
      lookup: async () => caller,
      find: async () => caller,
      changed: () => {},
      tenantChanged: () => {},
      revoked: () => {},
    }
    installGuard(app, { apiKeys })
    app.get('/open', { config: { public: true } }, async () => 'open')
    app.get(
      '/runs',
      { config: { permission: 'executions:read', limitedKeys: true } },
      async (request) => callerOf(request).tenant,
    )
    app.get('/keys', { config: { permission: ['keys:read', 'keys:write'] } }, async () => 'keys')
    app.get('/me', { config: { permission: 'authenticated' } }, async () => 'me')
    await app.ready()
    const get = async (url: string, authorization = 'Bearer om_x') =>
      (await app.inject({ url, headers: { authorization } })).statusCode
    return { app, get }
  }
  it('lets through who has the permission, or one of them', async () => {
    const { get } = await guarded(['executions:read', 'keys:write'])
    expect(await Promise.all(['/open', '/runs', '/keys', '/me'].map((url) => get(url)))).toEqual([200, 200, 200, 200])
    expect(await get('/open', '')).toBe(200)
    expect((await guarded([])).get).toBeDefined()
  })
  it('keeps out who has not, and everyone unknown', async () => {
    const { get, app } = await guarded([])
    app.setErrorHandler((error, _request, reply) => reply.status((error as { status: number }).status).send('no'))
    for (const url of ['/runs', '/keys']) expect(await get(url)).not.toBe(200)
    expect(await get('/me')).toBe(200)
    for (const header of ['', 'Bearer x', 'Basic om_x', 'Bearer  ']) expect(await get('/me', header)).not.toBe(200)
  })
  it('keeps limited keys to the routes that know their limits', async () => {
    const { get } = await guarded(['executions:read', 'keys:read'], { workflows: [], agents: ['writer'] })
    expect(await get('/runs')).toBe(200)
    expect(await get('/keys')).not.toBe(200)
  })
  it('takes no route that says nothing, and none that says both', async () => {
    const { app } = await guarded([])
    const fresh = Fastify()
    installGuard(fresh, {
      apiKeys: {
        lookup: async () => undefined,
        find: async () => undefined,
        changed: () => {},
        tenantChanged: () => {},
        revoked: () => {},
      },
    })
    expect(() => fresh.get('/x', async () => 'x')).toThrow('must say what it needs')
    expect(() => fresh.get('/y', { config: { public: true, permission: 'keys:read' } }, async () => 'y')).toThrow()
    expect(
      routeRules(app)
        .filter(({ method }) => method === 'GET')
        .map(({ url }) => url),
    ).toEqual(['/open', '/runs', '/keys', '/me'])
  })
})

it('a person may do what their role permits, and nothing as a member of yesterday', async () => {
  const state = { role: 'viewer' as string | undefined }
  const query = async () => ({
    rows: state.role ? [{ role: state.role, ranges: [], hours: [], ssoRequired: false }] : [],
  })
  const members = createMembers({
    reads: { query } as unknown as Reads,
    open: async () => undefined,
    isFollowed: async () => true,
    nowMs: () => 0,
  })
  const session = { userId: 'usr_a', sessionId: 'ses_1', tenant: 'ten_a', amr: [], authenticatedAt: 0 }
  const permissions = async () => (await members.callerFor(session, '127.0.0.1')).permissions
  expect((await permissions()).has('executions:read')).toBe(true)
  expect((await permissions()).has('executions:write')).toBe(false)
  state.role = undefined
  expect((await permissions()).size).toBeGreaterThan(0)
  const behind = async () => false
  members.changed('ten_a', 'usr_a', behind)
  await expect(permissions()).rejects.toMatchObject({ code: 'unavailable' })
  members.changed('ten_a', 'usr_a', async () => true)
  expect((await permissions()).size).toBe(0)
  // who is removed is known without the read model, and so is who comes back
  state.role = 'viewer'
  members.changed('ten_a', 'usr_a', async () => true)
  members.removed('ten_a', 'usr_a', behind)
  expect((await permissions()).size).toBe(0)
  members.changed('ten_a', 'usr_a', async () => true)
  expect((await permissions()).size).toBeGreaterThan(0)
})

it('a tenant that demands its own sign-in takes no other session, but for owners with a second factor', () => {
  const allowed = (issuer: string, role: Role, mfaAt?: number, connections = ['sso_a']) => {
    try {
      requireOwnSignIn({ connections }, { tenant: 'ten_a', login: { method: 'oidc', issuer }, mfaAt }, role)
      return true
    } catch (error) {
      return (error as OmiumError).code
    }
  }
  expect(allowed('omium:sso:ten_a/sso_a', 'viewer')).toBe(true)
  // another connection, one of another tenant, one that is switched off
  expect(allowed('omium:sso:ten_a/sso_b', 'viewer')).toBe('sso_required')
  expect(allowed('omium:sso:ten_b/sso_a', 'viewer')).toBe('sso_required')
  expect(allowed('omium:sso:ten_a/sso_a', 'viewer', undefined, [])).toBe('sso_required')
  expect(allowed('https://idp.example', 'admin', 1)).toBe('sso_required')
  expect(allowed('https://idp.example', 'owner')).toBe('sso_required')
  expect(allowed('https://idp.example', 'owner', 1)).toBe(true)
})
