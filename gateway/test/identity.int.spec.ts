import type { SessionCallers } from '@omium/access'
import {
  eventually,
  freshDatabase,
  freshPrefix,
  freshSecrets,
  gatewayDatabaseUrl,
  newApiKey,
  type ServiceHandle,
  spawnService,
  testStack,
} from '@omium/dev/testing'
import { type CommandSender, openCommandSender } from '@omium/log'
import { migrate } from '@omium/migrations'
import { createPersonalData, createSubjectKeys, kmsOf, type PersonalData } from '@omium/personal-data'
import { getSession, getUser, identityProjection, membershipsOf, userOfAddress } from '@omium/projection-identity'
import {
  createPool,
  createReads,
  openLog,
  type Reads,
  type RunningProjection,
  runProjection,
} from '@omium/projection-kit'
import {
  aggregateKey,
  checkpointContext,
  executionContext,
  type IdentityContextCommand,
  identityContext,
  type Permission,
  parseApiKey,
  permissions,
  platformTenant,
  recoveryContext,
  rolePermissions,
  roles,
  webhookContext,
  workflowContext,
} from '@omium/schemas'
import type { Pool } from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig } from '../src/config.ts'
import { startGateway } from '../src/gateway.ts'
import { attackSpecs } from './identity/attacks.ts'

/**
 * The real log, database, identity process and read model behind the gateway. Only sessions are handed in by the spec: a
 * header says who asks, in place of a token.
 */
const localKey = newApiKey()
const quiet = () => undefined
let pool: Pool
let reads: Reads
let gateway: Awaited<ReturnType<typeof startGateway>>
/** gives up waiting for outcomes at once: most of its routes have nobody behind them here */
let hasty: typeof gateway
let identityProcess: ServiceHandle
let projection: RunningProjection
let logs: Record<
  'execution' | 'checkpoint' | 'recovery' | 'workflow' | 'identity' | 'webhook',
  Awaited<ReturnType<typeof openLog>>
>
let sender: CommandSender
let personalData: PersonalData

beforeAll(async () => {
  const stack = testStack()
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  pool = createPool(databaseUrl)
  reads = createReads(pool)
  const env = {
    ...freshSecrets(),
    OMIUM_LOCAL_API_KEY: localKey,
    OMIUM_KAFKA_BROKERS: stack.kafkaBrokers.join(','),
    OMIUM_SCHEMA_REGISTRY_URL: stack.registryUrl,
    OMIUM_TOPIC_PREFIX: freshPrefix(),
    OMIUM_PARTITIONS: '2',
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_GATEWAY_DATABASE_URL: gatewayDatabaseUrl(databaseUrl),
    OMIUM_S3_ENDPOINT: stack.s3.endpoint,
    OMIUM_S3_REGION: stack.s3.region,
    OMIUM_S3_BUCKET: stack.s3.bucket,
    OMIUM_S3_ACCESS_KEY_ID: stack.s3.accessKeyId,
    OMIUM_S3_SECRET_ACCESS_KEY: stack.s3.secretAccessKey,
    OMIUM_OWNER_SESSION_TIMEOUT_MS: '1500',
    OMIUM_GATEWAY_PORT: '0',
    OMIUM_RATE_SENSITIVE: '0',
    OMIUM_IDENTITY_PORT: '0',
  }
  logs = {
    identity: await openLog(env, identityContext, 'identity-spec', quiet),
    webhook: await openLog(env, webhookContext, 'identity-spec', quiet),
    execution: await openLog(env, executionContext, 'identity-spec', quiet),
    checkpoint: await openLog(env, checkpointContext, 'identity-spec', quiet),
    recovery: await openLog(env, recoveryContext, 'identity-spec', quiet),
    workflow: await openLog(env, workflowContext, 'identity-spec', quiet),
  }
  sender = await openCommandSender(logs.identity.context)
  identityProcess = await spawnService('consumers/identity/src/main.ts', env, {
    readyLine: /"msg":"ready"/,
    readyTimeoutMs: 90_000,
  })
  projection = await runProjection({
    definition: identityProjection,
    log: logs.identity,
    pool,
    databaseUrl,
    onNotice: quiet,
  })
  const config = readConfig(env)
  personalData = createPersonalData({
    kms: kmsOf(config.kms),
    keys: createSubjectKeys(pool),
    digestKey: config.digestKey,
    nowMs: Date.now,
  })
  const open = (commandTimeoutMs: number, readWaitMs: number) =>
    startGateway(
      { ...config, commandTimeoutMs, limits: { ...config.limits, readWaitMs } },
      logs,
      pino({ level: 'silent' }),
      { sessions },
    )
  gateway = await open(15_000, 5_000)
  hasty = await open(1, 1)
}, 240_000)

afterAll(async () => {
  await gateway?.close()
  await hasty?.close()
  await projection?.close()
  await sender?.close()
  await identityProcess?.stop()
  for (const log of Object.values(logs ?? {})) await log.close()
  await pool?.end()
})

/** What a person proved, and when; absent: they signed in just now. */
interface Proofs {
  readonly authenticatedAt?: number
  readonly mfaAt?: number
}
/** Who asks: a key (`once`: with this idempotency key), or `<tenant>/<user>`. */
type As =
  | { readonly key: string; readonly once?: string }
  | { readonly person: string; readonly proofs?: Proofs }
  | null

const call = async (as: As, method: string, path: string, body?: unknown, at = gateway) => {
  const response = await fetch(`${at.url}${path}`, {
    method,
    headers: {
      ...(as && 'key' in as && { authorization: `Bearer ${as.key}`, ...(as.once && { 'idempotency-key': as.once }) }),
      ...(as && 'person' in as && { 'x-spec-session': as.person, 'x-spec-proofs': JSON.stringify(as.proofs ?? {}) }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const json = text && response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : null
  // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
  return { status: response.status, body: json as any }
}
const local: As = { key: localKey }

const send = (aggregate: string, tenant: string, { type, data }: IdentityContextCommand) =>
  sender.send({
    id: logs.identity.context.ids('command'),
    type,
    data,
    aggregate,
    tenant,
    actor: 'system',
    correlationId: 'spec',
  })
const toUser = (userId: string, command: IdentityContextCommand) =>
  send(aggregateKey('user', platformTenant, userId), platformTenant, command)

const sessions: SessionCallers = {
  callerOf: async (headers) => {
    const [tenant, userId] = String(headers['x-spec-session'] ?? '').split('/')
    const proofs = JSON.parse(String(headers['x-spec-proofs'] ?? '{}')) as Proofs
    return tenant && userId
      ? { tenant, userId, sessionId: `ses_of_${userId}`, amr: [], authenticatedAt: Date.now(), ...proofs }
      : undefined
  },
}

let people = 0
/** Somebody who has signed in for the first time; `home` is the tenant that was founded with them. */
const somebody = async () => {
  const n = ++people
  const email = `person${n}@example.org`
  const userId = `usr_${n}`
  const home = `ten_home${n}`
  const address = personalData.digest('email', email)
  await send(aggregateKey('address', platformTenant, address), platformTenant, {
    type: 'ClaimAddress',
    data: { userId },
  })
  await toUser(userId, {
    type: 'RegisterUser',
    data: {
      address,
      email: await personalData.seal(userId, email),
      login: { method: 'magic_link', issuer: 'omium', subject: address },
      tenant: { id: home, name: `Home of ${n}` },
    },
  })
  await eventually(async () => expect(await membershipsOf(reads, userId)).toHaveLength(1), { timeoutMs: 20_000 })
  return { userId, email, address, home, at: (tenant: string): As => ({ person: `${tenant}/${userId}` }) }
}
type Somebody = Awaited<ReturnType<typeof somebody>>

/** Invites somebody into a tenant; they accept. */
const join = async (by: As, tenant: string, person: Somebody, role: string) => {
  const invited = await call(by, 'POST', '/v1/invitations', { email: person.email, role })
  expect(invited.status).toBe(201)
  const accepted = await call(person.at(person.home), 'POST', `/v1/me/invitations/${tenant}/${invited.body.id}/accept`)
  expect(accepted.status).toBe(200)
}

describe('the local tenant', () => {
  it('was founded with its key on the log, and the key is stored nowhere', async () => {
    const me = await call(local, 'GET', '/v1/me')
    expect(me).toMatchObject({ status: 200, body: { tenant: 'ten_local', permissions: [...permissions] } })
    const { rows } = await pool.query('SELECT k::text AS text FROM identity.api_keys k')
    expect(rows).toHaveLength(1)
    expect(rows[0].text).not.toContain(localKey)
    expect((await call(local, 'GET', '/v1/tenant')).body).toMatchObject({ id: 'ten_local', name: 'Local' })
  })
})

it('a tenant is renamed, and may be used from addresses that include those of whoever says so', async () => {
  const person = await somebody()
  const as = person.at(person.home)
  const change = (body: object) => call(as, 'PATCH', '/v1/tenant', body)
  expect((await change({ name: 'Elsewhere' })).status).toBe(200)
  expect(await change({ ranges: ['10.0.0.0/8'] })).toMatchObject({ status: 422, body: { code: 'invalid_request' } })
  expect((await change({ ranges: ['10.0.0.0/33'] })).status).toBe(422)
  expect((await change({ ranges: ['127.0.0.0/8', '::1'] })).status).toBe(200)
  expect((await call(as, 'GET', '/v1/tenant')).body).toMatchObject({
    name: 'Elsewhere',
    ranges: ['127.0.0.0/8', '::1'],
  })
})

it('another tenant is founded by a person, once, who owns it and may leave when somebody else does', async () => {
  const [founder, other] = [await somebody(), await somebody()]
  const found = (as: As) =>
    fetch(`${gateway.url}/v1/tenants`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': 'founding',
        ...(as && 'person' in as && { 'x-spec-session': as.person }),
      },
      body: JSON.stringify({ name: 'Second' }),
    })
  const [first, again] = await Promise.all([found(founder.at(founder.home)), found(founder.at(founder.home))])
  expect([first.status, again.status]).toEqual([201, 201])
  const [{ id }, repeated] = (await Promise.all([first.json(), again.json()])) as [{ id: string }, { id: string }]
  expect([repeated.id, id]).toEqual([id, expect.stringMatching(/^ten_/)])
  const there = founder.at(id ?? '')
  expect((await call(there, 'GET', '/v1/tenant')).body).toMatchObject({ id, name: 'Second' })
  expect((await call(there, 'GET', '/v1/me')).body).toMatchObject({ role: 'owner' })
  expect((await call(other.at(id ?? ''), 'GET', '/v1/tenant')).status).toBe(403)
  expect(await call(local, 'POST', '/v1/tenants', { name: 'x' })).toMatchObject({ status: 403 })
  const leave = () => call(there, 'DELETE', `/v1/members/${founder.userId}`)
  expect(await leave()).toMatchObject({ status: 409, body: { code: 'last_owner' } })
  await join(there, id ?? '', other, 'admin')
  expect((await call(there, 'PATCH', `/v1/members/${other.userId}`, { role: 'owner' })).status).toBe(200)
  expect((await leave()).status).toBe(200)
  await eventually(async () => expect((await call(there, 'GET', '/v1/tenant')).status).toBe(403))
})

describe('what is sensitive', () => {
  const longAgo = () => Date.now() - 11 * 60_000
  const within = { timeoutMs: 20_000 }
  /** Gives them an authenticator app, as the log has it. */
  const enrol = async ({ userId, address, home }: Somebody) => {
    const sealed = await personalData.seal(userId, 'app')
    const sessionId = `ses_of_${userId}`
    await toUser(userId, {
      type: 'StartSession',
      data: {
        sessionId,
        tenant: home,
        login: { method: 'magic_link', issuer: 'omium', subject: address },
        amr: ['email'],
        authenticatedAt: Date.now(),
        expiresAt: Date.now() + 3_600_000,
        client: 'browser',
      },
    })
    await toUser(userId, {
      type: 'AddFactor',
      data: {
        factorId: 'fac_app',
        kind: 'totp',
        label: sealed,
        material: sealed,
        proof: { kind: 'totp', factorId: 'fac_app', step: 1 },
        sessionId,
        amr: ['otp'],
        recoveryCodes: Array.from({ length: 10 }, (_, index) => String(index).repeat(64)),
      },
    })
  }

  it('asks people for a fresh proof, of a second factor where they have one, and keys for nothing', async () => {
    const person = await somebody()
    const as = (proofs: Proofs): As => ({ person: `${person.home}/${person.userId}`, proofs })
    const create = (who: As) =>
      call(who, 'POST', '/v1/keys', { name: 'x', scopes: { permissions: ['executions:read', 'keys:write'] } })
    expect(await create(as({ authenticatedAt: longAgo() }))).toMatchObject({
      status: 401,
      body: { code: 'step_up_required', accepts: ['sign_in'] },
    })
    expect((await create(as({ authenticatedAt: 0 }))).body).toMatchObject({ code: 'step_up_required' })
    const created = await create(as({}))
    expect(created.status).toBe(201)
    // what is not sensitive goes on
    expect((await call(as({ authenticatedAt: 0 }), 'GET', '/v1/keys')).status).toBe(200)

    await enrol(person)
    await eventually(
      async () =>
        expect(await create(as({}))).toMatchObject({
          status: 401,
          body: { code: 'step_up_required', accepts: ['totp', 'recovery_code'] },
        }),
      { timeoutMs: 20_000 },
    )
    expect((await create(as({ mfaAt: longAgo() }))).status).toBe(401)
    expect((await create(as({ authenticatedAt: 0, mfaAt: Date.now() }))).status).toBe(201)
    expect((await create({ key: created.body.key })).status).toBe(201)
    // the same for what tells secrets of webhooks
    for (const [path, body] of [
      ['', { url: 'https://a.example/', types: ['execution.failed'] }],
      ['/whk_x/rotate', {}],
    ] as const) {
      const refused = await call(as({ mfaAt: longAgo() }), 'POST', `/v1/webhooks${path}`, body)
      expect(refused.body).toMatchObject({ code: 'step_up_required' })
    }
  })

  it('a tenant that demands a second factor is closed to members without one, within seconds; keys go on', async () => {
    const [owner, guest] = [await somebody(), await somebody()]
    const tenant = owner.home
    const asOwner: As = { person: `${tenant}/${owner.userId}`, proofs: { mfaAt: Date.now() } }
    await join(owner.at(tenant), tenant, guest, 'developer')
    const key = await call(owner.at(tenant), 'POST', '/v1/keys', {
      name: 'x',
      scopes: { permissions: ['executions:read'] },
    })
    const inside = guest.at(tenant)
    await eventually(async () => expect((await call(inside, 'GET', '/v1/executions')).status).toBe(200), within)
    const demand = (by: As, mfaRequired: boolean) => call(by, 'PATCH', '/v1/tenant', { mfaRequired })
    expect((await demand(inside, true)).status).toBe(403)
    // nobody locks themselves out
    expect((await demand(owner.at(tenant), true)).body).toMatchObject({ code: 'mfa_enrolment_required' })
    await enrol(owner)
    await eventually(async () => expect((await demand(asOwner, true)).status).toBe(200), { timeoutMs: 20_000 })
    expect((await call(asOwner, 'GET', '/v1/tenant')).body).toMatchObject({ mfaRequired: true })
    const refusedWith = (code: string) =>
      eventually(async () => expect((await call(inside, 'GET', '/v1/executions')).body).toMatchObject({ code }), within)
    await refusedWith('mfa_enrolment_required')
    expect((await call(inside, 'GET', '/v1/me')).status).toBe(403)
    // nowhere else
    expect((await call(guest.at(guest.home), 'GET', '/v1/executions')).status).toBe(200)
    expect((await call({ key: key.body.key }, 'GET', '/v1/executions')).status).toBe(200)
    await enrol(guest)
    await refusedWith('step_up_required')
    const proved: As = { person: `${tenant}/${guest.userId}`, proofs: { mfaAt: longAgo() } }
    expect((await call(proved, 'GET', '/v1/executions')).status).toBe(200)
    expect((await demand(asOwner, false)).status).toBe(200)
    await eventually(async () => expect((await call(inside, 'GET', '/v1/executions')).status).toBe(200), within)
  })
})

describe('people', () => {
  it('who sign in for the first time own a tenant of their own', async () => {
    const person = await somebody()
    expect(await call(person.at(person.home), 'GET', '/v1/me')).toMatchObject({ body: { role: 'owner' } })
    const { body } = await call(person.at(person.home), 'GET', '/v1/members')
    expect(body.items).toMatchObject([{ userId: person.userId, role: 'owner', email: person.email }])
    expect((await getUser(reads, person.userId))?.email).not.toContain('example')
  })

  it('who claim one address at the same moment are one user', async () => {
    const address = personalData.digest('email', 'same@example.org')
    const aggregate = aggregateKey('address', platformTenant, address)
    await Promise.all(
      ['usr_x', 'usr_y'].map((userId) => send(aggregate, platformTenant, { type: 'ClaimAddress', data: { userId } })),
    )
    await eventually(async () => expect(await userOfAddress(reads, address)).toMatch(/^usr_[xy]$/), {
      timeoutMs: 20_000,
    })
  })

  it('are invited, change roles and are removed; every change takes effect at once, and sessions end', async () => {
    const [owner, guest, stranger] = [await somebody(), await somebody(), await somebody()]
    const asOwner = owner.at(owner.home)
    const inside = guest.at(owner.home)
    const tenant = owner.home
    expect((await call(inside, 'GET', '/v1/executions')).status).toBe(403)
    const invited = await call(asOwner, 'POST', '/v1/invitations', { email: guest.email.toUpperCase(), role: 'viewer' })
    const path = `/v1/me/invitations/${tenant}/${invited.body.id}/accept`
    expect((await call(asOwner, 'GET', '/v1/invitations')).body.items).toMatchObject([
      { email: guest.email, status: 'open' },
    ])
    // it is for its address, whoever knows its id
    expect(await call(stranger.at(stranger.home), 'POST', path)).toMatchObject({
      status: 404,
      body: { code: 'invitation_unknown' },
    })
    expect((await call(guest.at(guest.home), 'GET', '/v1/me/invitations')).body.items).toMatchObject([{ tenant }])
    expect((await call(guest.at(guest.home), 'POST', path)).status).toBe(200)

    await eventually(async () => expect((await call(inside, 'GET', '/v1/executions')).status).toBe(200), {
      timeoutMs: 20_000,
    })
    expect(
      (await call(inside, 'POST', '/v1/keys', { name: 'x', scopes: { permissions: ['executions:read'] } })).status,
    ).toBe(403)
    const member = `/v1/members/${guest.userId}`
    expect((await call(asOwner, 'PATCH', member, { role: 'admin' })).status).toBe(200)
    await eventually(async () => expect((await call(inside, 'GET', '/v1/keys')).status).toBe(200), {
      timeoutMs: 20_000,
    })
    // an admin makes no owners, not even of themselves
    expect(await call(inside, 'PATCH', member, { role: 'owner' })).toMatchObject({
      status: 403,
      body: { code: 'forbidden' },
    })
    expect(await call(asOwner, 'DELETE', `/v1/members/${owner.userId}`)).toMatchObject({
      status: 409,
      body: { code: 'last_owner' },
    })

    const expiresAt = Date.now() + 3_600_000
    const login = { method: 'magic_link', issuer: 'omium', subject: guest.address } as const
    for (const [sessionId, home] of [
      ['ses_in', tenant],
      ['ses_out', guest.home],
    ] as const)
      await toUser(guest.userId, {
        type: 'StartSession',
        data: {
          sessionId,
          tenant: home,
          login,
          amr: ['otp'],
          authenticatedAt: Date.now(),
          expiresAt,
          client: 'browser',
        },
      })
    await eventually(async () => expect(await getSession(reads, guest.userId, 'ses_out')).toBeDefined(), {
      timeoutMs: 20_000,
    })
    expect((await call(asOwner, 'DELETE', member)).status).toBe(200)
    await eventually(async () => expect((await call(inside, 'GET', '/v1/executions')).status).toBe(403), {
      timeoutMs: 20_000,
    })
    await eventually(
      async () => expect(await getSession(reads, guest.userId, 'ses_in')).toMatchObject({ endedWhy: 'removed' }),
      {
        timeoutMs: 20_000,
      },
    )
    expect(await getSession(reads, guest.userId, 'ses_out')).toMatchObject({ endedAt: null })
    expect((await call(asOwner, 'GET', member)).status).toBe(404)
  })

  it('are erased: what was sealed opens no more, their address is free, and everything folds on', async () => {
    const person = await somebody()
    const sealed = (await getUser(reads, person.userId))?.email ?? ''
    const session = { method: 'magic_link', issuer: 'omium', subject: person.address } as const
    await toUser(person.userId, {
      type: 'StartSession',
      data: {
        sessionId: 'ses_gone',
        tenant: person.home,
        login: session,
        amr: [],
        authenticatedAt: Date.now(),
        expiresAt: Date.now() + 3_600_000,
        client: 'cli',
      },
    })
    await toUser(person.userId, { type: 'EraseUser', data: {} })
    await eventually(async () => expect(await userOfAddress(reads, person.address)).toBeUndefined(), {
      timeoutMs: 20_000,
    })
    await eventually(
      async () => {
        const { rows } = await pool.query('SELECT wrapped FROM subject_keys WHERE subject = $1', [person.userId])
        expect(rows).toEqual([{ wrapped: null }])
      },
      { timeoutMs: 20_000 },
    )
    expect(await getSession(reads, person.userId, 'ses_gone')).toMatchObject({ endedWhy: 'erased' })
    // another process, which remembers nothing
    const { kms, digestKey } = readConfig({ ...process.env, ...(await secretsOf()) })
    const elsewhere = createPersonalData({
      kms: kmsOf(kms),
      keys: createSubjectKeys(pool),
      digestKey,
      nowMs: Date.now,
    })
    expect(await elsewhere.open(sealed)).toBeUndefined()
    const after = await somebody()
    expect((await call(after.at(after.home), 'GET', '/v1/members')).status).toBe(200)
  })
})

/** settings that `readConfig` needs, of no further use here */
const secretsOf = async () => ({
  ...freshSecrets(),
  OMIUM_GATEWAY_DATABASE_URL: 'postgres://127.0.0.1/none',
})

describe('API keys', () => {
  const create = async (as: As, body: object) => {
    const { status, body: created } = await call(as, 'POST', '/v1/keys', { name: 'spec', ...body })
    expect(status).toBe(201)
    return created as { id: string; key: string; prefix: string }
  }
  const reading = { scopes: { permissions: ['executions:read'] } }

  it('are shown once, work at once, and are listed without the key', async () => {
    const { id, key, prefix } = await create(local, reading)
    expect(parseApiKey(key)).toMatchObject({ keyId: id, prefix, environment: 'test' })
    expect((await call({ key }, 'GET', '/v1/executions')).status).toBe(200)
    expect((await call({ key }, 'GET', '/v1/keys')).status).toBe(403)
    const { body } = await call(local, 'GET', '/v1/keys')
    expect(body.items.map((item: { id: string }) => item.id)).toContain(id)
    expect(JSON.stringify(body)).not.toContain(key.slice(prefix.length + 1))
    await eventually(
      async () =>
        expect((await call(local, 'GET', `/v1/keys/${id}`)).body).toMatchObject({
          status: 'live',
          lastUsedAt: expect.any(String),
        }),
      { timeoutMs: 20_000 },
    )
  })

  it('are made once for one idempotency key; the repetition is told so, and not the key', async () => {
    const body = { name: 'once', ...reading }
    const [one, two] = await Promise.all(
      [0, 1].map(() => call({ key: localKey, once: 'one-key-please' }, 'POST', '/v1/keys', body)),
    )
    expect([one?.status, two?.status].sort()).toEqual([201, 409])
    const [made, told] = one?.status === 201 ? [one, two] : [two, one]
    expect(told?.body).toMatchObject({ code: 'identity_conflict', detail: expect.stringContaining(made?.body.id) })
    expect(JSON.stringify(told?.body)).not.toContain(made?.body.key)
    const { body: list } = await call(local, 'GET', '/v1/keys')
    expect(list.items.filter(({ name }: { name: string }) => name === 'once')).toHaveLength(1)
    expect((await call({ key: made?.body.key }, 'GET', '/v1/executions')).status).toBe(200)
  })

  it('cannot give what they do not have', async () => {
    const { key } = await create(local, { scopes: { permissions: ['keys:write', 'keys:read'] } })
    expect(await call({ key }, 'POST', '/v1/keys', { name: 'more', ...reading })).toMatchObject({
      status: 403,
      body: { code: 'forbidden' },
    })
    expect(
      (await call({ key }, 'POST', '/v1/keys', { name: 'same', scopes: { permissions: ['keys:read'] } })).status,
    ).toBe(201)
  })

  it('are rotated with an overlap, and stop when they are revoked, or when their time is over', async () => {
    const old = await create(local, reading)
    const { status, body: next } = await call(local, 'POST', `/v1/keys/${old.id}/rotate`, { overlapMs: 2_000 })
    expect(status).toBe(201)
    expect((await call(local, 'GET', `/v1/keys/${next.id}`)).body).toMatchObject({
      replaces: old.id,
      scopes: reading.scopes,
    })
    expect((await call({ key: next.key }, 'GET', '/v1/executions')).status).toBe(200)
    await eventually(async () => expect((await call({ key: old.key }, 'GET', '/v1/executions')).status).toBe(401), {
      timeoutMs: 20_000,
    })
    expect((await call(local, 'DELETE', `/v1/keys/${next.id}`, { reason: 'leaked' })).status).toBe(200)
    // this gateway heard of it on the log, before it could answer
    expect((await call({ key: next.key }, 'GET', '/v1/executions')).status).toBe(401)
    expect((await call(local, 'POST', `/v1/keys/${next.id}/rotate`)).body.code).toBe('identity_conflict')
  })

  it('limited to an agent reach no other runs, start nothing else, and nothing that reaches further', async () => {
    const { key } = await create(local, { scopes: { permissions: [...permissions], agents: ['writer'] } })
    const as = { key }
    expect(await call(as, 'POST', '/v1/executions', { agent: 'reader', input: {} })).toMatchObject({ status: 403 })
    expect(await call(as, 'POST', '/v1/executions', { agent: 'writer', input: {} })).toMatchObject({
      body: { code: 'agent_unknown' },
    })
    expect(await call(as, 'GET', '/v1/executions')).toMatchObject({ status: 200, body: { items: [] } })
    expect(await call(as, 'GET', '/v1/workflows/w/runs')).toMatchObject({ status: 404 })
    for (const path of ['/v1/keys', '/v1/members', '/v1/checkpoints', '/v1/recoveries', '/v1/failures'])
      expect(await call(as, 'GET', path)).toMatchObject({ status: 403 })
  })

  it('are used at their hours, and those of their tenant', async () => {
    const now = new Date()
    const day = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'][(now.getUTCDay() + 3) % 7]
    const elsewhen = [{ days: [day], from: '12:00', to: '13:00', timeZone: 'UTC' }]
    const { id, key } = await create(local, { ...reading, hours: elsewhen })
    expect(await call({ key }, 'GET', '/v1/executions')).toMatchObject({ status: 403, body: { code: 'outside_hours' } })
    expect((await call(local, 'GET', `/v1/keys/${id}`)).body.hours).toEqual(elsewhen)
    const person = await somebody()
    const as = person.at(person.home)
    const change = (hours: unknown) => call(as, 'PATCH', '/v1/tenant', { hours })
    expect(await change(elsewhen)).toMatchObject({ status: 422, body: { code: 'invalid_request' } })
    expect((await change([{ ...elsewhen[0], timeZone: 'Mars/Olympus' }])).status).toBe(422)
    const always = [
      { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], from: '00:00', to: '24:00', timeZone: 'UTC' },
    ]
    expect((await change(always)).status).toBe(200)
    expect((await call(as, 'GET', '/v1/tenant')).body.hours).toEqual(always)
    // as if the rest of the week had come: what is asked for is what counts, not what was remembered
    await pool.query('UPDATE identity.tenants SET hours = $2 WHERE tenant = $1', [
      person.home,
      JSON.stringify(elsewhen),
    ])
    await eventually(async () => expect((await call(as, 'GET', '/v1/me')).body.code).toBe('outside_hours'), {
      timeoutMs: 20_000,
    })
  })

  it('give services tokens for what they may do themselves, which end with them', async () => {
    const { id, key } = await create(local, {
      scopes: { permissions: ['executions:read', 'keys:read', 'keys:write', 'tokens:write'] },
    })
    const ask = (as: As, body: object) => call(as, 'POST', '/v1/service-tokens', body)
    const reads = { audience: 'gateway', permissions: ['executions:read'] }
    const { status, body } = await ask({ key }, reads)
    expect([status, body.permissions]).toEqual([201, ['executions:read']])
    const service = { key: body.token as string }
    expect((await call(service, 'GET', '/v1/me')).body).toMatchObject({
      actor: `key:${id}`,
      permissions: ['executions:read'],
    })
    expect((await call(service, 'GET', '/v1/executions')).status).toBe(200)
    expect((await call(service, 'GET', '/v1/keys')).status).toBe(403)
    expect((await ask(service, reads)).status).toBe(403)
    for (const permission of ['workflows:read', 'keys:write', 'tokens:write'])
      expect(await ask({ key }, { ...reads, permissions: [permission] }), permission).toMatchObject({ status: 403 })
    for (const audience of ['models', 'engine']) {
      const { body: other } = await ask({ key }, { ...reads, audience })
      expect((await call({ key: other.token }, 'GET', '/v1/executions')).status, audience).toBe(401)
    }
    expect((await ask({ key }, { ...reads, audience: 'anybody' })).status).toBe(422)
    expect((await call(local, 'DELETE', `/v1/keys/${id}`)).status).toBe(200)
    expect((await call(service, 'GET', '/v1/executions')).status).toBe(401)
  })

  it('are verified for their own tenant only', async () => {
    const { id, key } = await create(local, reading)
    const person = await somebody()
    const verify = async (as: As, text: string) => (await call(as, 'POST', '/v1/keys/verify', { key: text })).body
    expect(await verify(local, key)).toEqual({ valid: true, id, scopes: reading.scopes })
    expect(await verify(person.at(person.home), key)).toEqual({ valid: false })
    expect(await verify(local, newApiKey())).toEqual({ valid: false })
    expect(await verify(local, 'om_test_nothing')).toEqual({ valid: false })
  })

  it.each([
    ['none', null],
    ['an invented one', { key: newApiKey() }],
    ['one of another environment', { key: newApiKey('live') }],
    ['one with a wrong checksum', { key: `${localKey.slice(0, -1)}${localKey.endsWith('0') ? '1' : '0'}` }],
    ['something else', { key: 'eyJhbGciOiJub25lIn0.e30.' }],
  ] as [string, As][])('%s opens nothing', async (_what, as) => {
    expect(await call(as, 'GET', '/v1/executions')).toMatchObject({ status: 401, body: { code: 'unauthenticated' } })
  })
})

describe('every route', () => {
  const urlOf = (url: string) => url.replace(/:(\w+)/g, (_, name) => (name === 'version' ? '1' : 'none'))
  const rules = () => gateway.rules.filter(({ method }) => !['HEAD', 'OPTIONS'].includes(method))
  /** whether the guard let it through; what the route made of it is of no interest here */
  const passes = async (as: As, method: string, url: string) => {
    const { status, body } = await call(as, method, urlOf(url), undefined, hasty)
    // who may do it is found out before they are asked for more proof
    if (status === 401) return body.code === 'step_up_required'
    return !(status === 403 && /needs the permission/.test(body.detail))
  }
  const expected = (needed: Permission | 'authenticated' | readonly Permission[], held: readonly Permission[]) =>
    needed === 'authenticated' || [needed].flat().some((one) => held.includes(one as Permission))

  const check = async (as: As, held: readonly Permission[]) => {
    const wrong: string[] = []
    // leaving needs nobody's leave; for others the route itself asks
    const own = rules().filter(({ method, url }) => !(method === 'DELETE' && url === '/v1/members/:userId'))
    await Promise.all(
      own.map(async ({ method, url, permission }) => {
        if (permission === undefined) return
        if ((await passes(as, method, url)) !== expected(permission, held)) wrong.push(`${method} ${url}`)
      }),
    )
    expect(wrong).toEqual([])
  }

  it('says what it needs', () => {
    expect(rules().length).toBeGreaterThan(70)
    // whoever signs in is unknown until then
    const signIn = /^\/(auth|\.well-known)\//
    const open = rules().filter(
      ({ permission, url }) => permission === undefined && !signIn.test(url) && !/^\/docs(\/|$)/.test(url),
    )
    expect(open.map(({ url }) => url).sort()).toEqual([
      '/health',
      '/metrics',
      '/openapi.json',
      '/ready',
      '/v1/hooks/:tenant/:id',
    ])
  })

  it('that checks a secret, or sends something to somebody, is asked a few times by one address', () => {
    const sensitive = rules().flatMap(({ method, url, limit }) => (limit === 'sensitive' ? [`${method} ${url}`] : []))
    expect(sensitive).toEqual(
      expect.arrayContaining([
        'GET /auth/providers/:provider/start',
        'GET /auth/providers/:provider/callback',
        'POST /auth/refresh',
      ]),
    )
  })

  it('is open to nobody unknown', async () => {
    await Promise.all(
      rules().map(async ({ method, url, permission }) => {
        if (permission === undefined) return
        expect(await call(null, method, urlOf(url)), `${method} ${url}`).toMatchObject({ status: 401 })
      }),
    )
  })

  it('asks for its permission: members of every role', async () => {
    const owner = await somebody()
    for (const role of roles) {
      const member = role === 'owner' ? owner : await somebody()
      if (role !== 'owner') await join(owner.at(owner.home), owner.home, member, role)
      const as = member.at(owner.home)
      await eventually(async () => expect((await call(as, 'GET', '/v1/me')).body.role).toBe(role), {
        timeoutMs: 20_000,
      })
      // with a proof that is too old for what is sensitive: nobody is erased here
      const asOfOld: As = { person: `${owner.home}/${member.userId}`, proofs: { authenticatedAt: 0 } }
      await check(asOfOld, rolePermissions[role])
    }
  })

  it('asks for its permission: keys with a single one', async () => {
    for (const permission of permissions) {
      const { body } = await call(local, 'POST', '/v1/keys', {
        name: permission,
        scopes: { permissions: [permission] },
      })
      await check({ key: body.key }, [permission])
    }
  })

  it("finds nothing of another tenant's", async () => {
    const [owner, other, guest] = [await somebody(), await somebody(), await somebody()]
    const asOwner = owner.at(owner.home)
    const key = await call(asOwner, 'POST', '/v1/keys', { name: 'k', scopes: { permissions: ['keys:read'] } })
    const invitation = await call(asOwner, 'POST', '/v1/invitations', { email: guest.email, role: 'viewer' })
    const idOf: Record<string, string> = { keys: key.body.id, members: owner.userId, invitations: invitation.body.id }
    const stranger = other.at(other.home)
    for (const { method, url } of rules()) {
      const [, resource] = /^\/v1\/(keys|members|invitations)\b/.exec(url) ?? []
      if (!resource || url === '/v1/keys/verify') continue
      const path = url.replace(/:\w+/, idOf[resource] as string)
      const body = method === 'PATCH' ? { role: 'viewer' } : undefined
      if (url.includes(':'))
        expect(await call(stranger, method, path, body), `${method} ${url}`).toMatchObject({ status: 404 })
      else if (method === 'GET') {
        const { items } = (await call(stranger, method, path)).body
        expect(JSON.stringify(items)).not.toContain(idOf[resource])
      }
    }
    // it is all still there
    expect((await call(asOwner, 'GET', `/v1/keys/${key.body.id}`)).body.status).toBe('live')
    expect((await call(asOwner, 'GET', '/v1/members')).body.items).toMatchObject([{ role: 'owner' }])
    // a key of one tenant is nothing in another, and a session in a tenant without membership may do nothing
    expect((await call(other.at(owner.home), 'GET', '/v1/keys')).status).toBe(403)
  })
})

attackSpecs({ local, localKey, call, somebody, join, parts: () => ({ pool, gateway }) })
