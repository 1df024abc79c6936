import { eventually, freshDatabase, stackSettings } from '@omium/dev/testing'
import { HistoryWriter } from '@omium/log/testing'
import { migrate } from '@omium/migrations'
import {
  createPool,
  createReads,
  openLog,
  type Reads,
  type RunningProjection,
  rebuild,
  runProjection,
  verify,
} from '@omium/projection-kit'
import { aggregateKey, type IdentityContextEvent, identityContext, platformTenant } from '@omium/schemas'
import type { Pool } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  getApiKey,
  getErasure,
  getTenant,
  getUser,
  identityProjection,
  invitationsOf,
  listApiKeys,
  listInvitations,
  listMembers,
  loginsOf,
  membershipIn,
  membershipsOf,
  sessionsOf,
  userOfAddress,
  userOfLogin,
} from '../src/index.ts'

/** The real log and a real database. */
const partitions = 2
const [address, invited] = ['a'.repeat(64), 'b'.repeat(64)]
const login = { method: 'magic_link', issuer: 'omium', subject: address } as const
let pool: Pool
let reads: Reads
let log: Awaited<ReturnType<typeof openLog>>
let writer: HistoryWriter
let projection: RunningProjection

const users = (id: string, ...events: IdentityContextEvent[]) =>
  writer.write(aggregateKey('user', platformTenant, id), events)
const tenants = (id: string, ...events: IdentityContextEvent[]) => writer.write(aggregateKey('tenant', id, id), events)
const keys = (tenant: string, id: string, ...events: IdentityContextEvent[]) =>
  writer.write(aggregateKey('api_key', tenant, id), events)
const addresses = (digest: string, ...events: IdentityContextEvent[]) =>
  writer.write(aggregateKey('address', platformTenant, digest), events)

const registered = (id: string): IdentityContextEvent => ({
  type: 'UserRegistered',
  data: { address, email: `v1.${id}.1.x`, login, tenant: { id: 'ten_a', name: 'A' } },
})
const session = (sessionId: string, tenant = 'ten_a'): IdentityContextEvent => ({
  type: 'SessionStarted',
  data: { sessionId, tenant, login, amr: ['otp'], authenticatedAt: 1, expiresAt: 9_000_000_000_000, client: 'browser' },
})
const issued = (name: string): IdentityContextEvent => ({
  type: 'ApiKeyIssued',
  data: {
    name,
    environment: 'live',
    prefix: 'om_live_x',
    hash: { digest: 'c'.repeat(64), pepper: 1 },
    scopes: { permissions: ['executions:read'] },
    by: 'user:usr_a',
  },
})
const invitation = (invitationId: string): IdentityContextEvent => ({
  type: 'MemberInvited',
  data: {
    invitationId,
    address: invited,
    email: 'v1.b.1.x',
    role: 'viewer',
    expiresAt: 9_000_000_000_000,
    by: 'user:usr_a',
  },
})

beforeAll(async () => {
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl)
  pool = createPool(databaseUrl)
  reads = createReads(pool)
  const env = {
    ...stackSettings(),
    OMIUM_PARTITIONS: String(partitions),
  }
  const quiet = () => undefined
  log = await openLog(env, identityContext, 'identity-spec', quiet)
  writer = await HistoryWriter.open(log.context, partitions)
  projection = await runProjection({ definition: identityProjection, log, pool, databaseUrl, onNotice: quiet })
})
afterAll(async () => {
  await projection?.close()
  await writer?.close()
  await log?.close()
  await pool?.end()
})

it('keeps users, their logins and sessions', async () => {
  await addresses(address, { type: 'AddressClaimed', data: { userId: 'usr_a' } })
  await users('usr_a', registered('usr_a'), session('ses_1'), session('ses_2'), {
    type: 'SessionEnded',
    data: { sessionId: 'ses_1', why: 'signed_out', by: 'user:usr_a' },
  })
  await eventually(async () => {
    expect(await userOfAddress(reads, address)).toBe('usr_a')
    expect((await sessionsOf(reads, 'usr_a')).map(({ id }) => id)).toEqual(['ses_2'])
  })
  expect(await userOfLogin(reads, login)).toBe('usr_a')
  expect(await getUser(reads, 'usr_a')).toMatchObject({ tenant: 'ten_a', erasedAt: null })
})

it('keeps members and invitations, each for its tenant', async () => {
  await tenants('ten_a', { type: 'TenantFounded', data: { name: 'A', owner: 'usr_a', by: 'system' } })
  await tenants('ten_a', invitation('inv_1'), invitation('inv_2'))
  await tenants('ten_a', { type: 'InvitationRevoked', data: { invitationId: 'inv_1', by: 'user:usr_a' } })
  await tenants('ten_b', { type: 'TenantFounded', data: { name: 'B', by: 'system' } }, invitation('inv_1'))
  const open = async (tenant: string) => (await listInvitations(reads, tenant, { limit: 10 })).items.map(({ id }) => id)
  await eventually(async () => {
    expect(await open('ten_a')).toEqual(['inv_2'])
    expect(await open('ten_b')).toEqual(['inv_1'])
  })
  expect(await membershipsOf(reads, 'usr_a')).toEqual([
    { tenant: 'ten_a', name: 'A', role: 'owner', mfaRequired: false },
  ])
  expect(await membershipIn(reads, 'ten_b', 'usr_a')).toBeUndefined()
  expect((await listMembers(reads, 'ten_b', { limit: 10 })).items).toEqual([])
  expect((await invitationsOf(reads, invited, new Date())).map(({ tenantName }) => tenantName).sort()).toEqual([
    'A',
    'B',
  ])
})

it('keeps keys, and names of any characters', async () => {
  await keys('ten_odd', 'key_1', issued('a \0 "b" \\ \ud800'))
  await keys('ten_odd', 'key_2', issued('gone'), { type: 'ApiKeyRevoked', data: { by: 'user:usr_a' } })
  await tenants(
    'ten_odd',
    { type: 'TenantFounded', data: { name: 'o\0dd', by: 'system' } },
    { type: 'TenantRenamed', data: { name: '\0', by: 'system' } },
  )
  await eventually(async () => {
    expect(await getApiKey(reads, 'ten_odd', 'key_1')).toMatchObject({ name: 'a \ufffd "b" \\ \ufffd' })
    expect(await getApiKey(reads, 'ten_odd', 'key_2')).toMatchObject({ revokedAt: expect.any(Date) })
    expect(await getTenant(reads, 'ten_odd')).toMatchObject({ name: '\ufffd' })
  })
  expect(await getApiKey(reads, 'ten_a', 'key_1')).toBeUndefined()
  expect((await listApiKeys(reads, 'ten_a', { limit: 10 })).items).toEqual([])
  const { rows } = await pool.query("SELECT detail FROM dead_letters WHERE projection = 'identity'")
  expect(rows).toEqual([])
})

it('keeps nothing of who is erased but that they were, and what tenants have erased', async () => {
  await users('usr_gone', registered('usr_gone'), session('ses_gone'))
  await users('usr_gone', { type: 'MembershipNoted', data: { tenant: 'ten_b' } })
  await users('usr_gone', { type: 'UserErased', data: { by: 'user:usr_gone' } })
  await eventually(async () =>
    expect(await getUser(reads, 'usr_gone')).toMatchObject({ email: null, name: null, erasedAt: expect.any(Date) }),
  )
  expect(await loginsOf(reads, 'usr_gone')).toEqual([])
  expect(await getErasure(reads, platformTenant, 'usr_gone')).toMatchObject({ completedAt: null, memberships: 0 })
  await users('usr_gone', { type: 'MembershipWithdrawn', data: { tenant: 'ten_b' } })
  await users('usr_gone', { type: 'ErasureCompleted', data: {} })
  const erased = { erasureId: 'era_1', memberships: 1, invitations: 2, by: 'key:k' }
  await tenants('ten_a', { type: 'MemberErased', data: { ...erased, address } })
  await tenants('ten_b', { type: 'MemberErased', data: { ...erased, userId: 'usr_x' } })
  const done = { completedAt: expect.any(Date) }
  await eventually(async () => {
    expect(await getErasure(reads, platformTenant, 'usr_gone')).toMatchObject({ ...done, memberships: 1 })
    expect(await getErasure(reads, 'ten_a', 'era_1')).toMatchObject({ completedAt: null, invitations: 2 })
    expect(await getErasure(reads, 'ten_b', 'era_1')).toMatchObject(done)
  })
  await tenants('ten_a', { type: 'MemberErasureCompleted', data: { erasureId: 'era_1' } })
  await eventually(async () => expect(await getErasure(reads, 'ten_a', 'era_1')).toMatchObject(done))
  expect(await getErasure(reads, 'ten_c', 'era_1')).toBeUndefined()
})

it('is built anew from the log to the same content', async () => {
  expect(await verify({ definition: identityProjection, log, pool })).toMatchObject({ equal: true, difference: null })
  expect(await rebuild({ definition: identityProjection, log, pool })).toMatchObject({ equal: true, switched: true })
})
