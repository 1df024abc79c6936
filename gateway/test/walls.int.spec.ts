import { freshDatabase, gatewayDatabaseUrl } from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import * as checkpoints from '@omium/projection-checkpoints'
import * as executions from '@omium/projection-executions'
import * as identity from '@omium/projection-identity'
import { createPool, createReads, type Reads, requireWalls } from '@omium/projection-kit'
import * as recoveries from '@omium/projection-recoveries'
import * as webhooks from '@omium/projection-webhooks'
import * as workflows from '@omium/projection-workflows'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** The second wall: what PostgreSQL shows to the gateways' role, whatever the statements ask for. */

let owner: Pool
/** one connection, so that whatever stayed on it would be found */
let app: Pool
let reads: Reads

interface Column {
  readonly table: string
  readonly name: string
  readonly type: string
}

const tables = async (): Promise<Map<string, Column[]>> => {
  const { rows } = await owner.query<Column>(
    `SELECT n.nspname || '.' || c.relname AS table, a.attname AS name, format_type(a.atttypid, NULL) AS type
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
       AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum`,
  )
  return Map.groupBy(rows, ({ table }) => table)
}
const belongs = (columns: readonly Column[]) => columns.some(({ name }) => name === 'tenant' || name === 'user_id')
const ofUser = (columns: readonly Column[]) => columns.some(({ name }) => name === 'user_id')

/** when something ended, was made void or erased: it did not */
const isOver = /^(ended|revoked|erased|destroyed|superseded_by|expires_at)/

const fillerOf = ({ table, name, type }: Column): unknown => {
  if (name === 'tenant') return 'ten_a'
  if (name === 'user_id' || (table === 'identity.users' && name === 'id')) return 'usr_a'
  if (name === 'status' && type === 'text') return table === 'workflows.versions' ? 'published' : 'open'
  if (type === 'text') return 'x'
  if (/^(int|bigint|double)/.test(type)) return 1
  if (type === 'boolean') return false
  if (type.startsWith('timestamp')) return new Date(name.startsWith('expires') ? 4e12 : 1.7e12)
  if (type === 'text[]') return []
  return type === 'bytea' ? Buffer.alloc(32) : '{}'
}

/** One row of ten_a, or of usr_a, in every table whose rows belong to somebody. */
const seed = async () => {
  for (const [table, columns] of await tables()) {
    if (!belongs(columns)) continue
    const filled = columns.filter(
      ({ name }) =>
        !isOver.test(name) ||
        table === 'identity.invitations' ||
        (table === 'identity.sessions' && name === 'expires_at'),
    )
    const names = filled.map(({ name }) => `"${name}"`).join(', ')
    const places = filled.map((_, i) => `$${i + 1}`).join(', ')
    await owner.query(`INSERT INTO ${table} (${names}) VALUES (${places})`, filled.map(fillerOf))
  }
}

beforeAll(async () => {
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  owner = createPool(databaseUrl)
  app = createPool(gatewayDatabaseUrl(databaseUrl), { max: 1 })
  reads = createReads(app)
  await seed()
})
afterAll(async () => {
  await app?.end()
  await owner?.end()
})

describe('walls', () => {
  it('are around every table with rows of a tenant or a person', async () => {
    const { rows } = await owner.query<{ table: string; walled: boolean }>(
      `SELECT n.nspname || '.' || c.relname AS table, c.relrowsecurity AND EXISTS (
         SELECT FROM pg_policy p WHERE p.polrelid = c.oid
           AND p.polroles = ARRAY[(SELECT oid FROM pg_roles WHERE rolname = 'omium_app')]) AS walled
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')`,
    )
    const walled = new Set(rows.filter((row) => row.walled).map(({ table }) => table))
    const needed = [...(await tables())].filter(([, columns]) => belongs(columns)).map(([table]) => table)
    expect(needed.length).toBeGreaterThan(20)
    expect(needed.filter((table) => !walled.has(table))).toEqual([])
  })

  it('show each its own rows, and nobody those of others, whatever is asked for', async () => {
    const seen = async (table: string, scope: Parameters<Reads['query']>[0]) =>
      (await reads.query(scope, `SELECT * FROM ${table}`)).rows.length
    for (const [table, columns] of await tables()) {
      if (!belongs(columns) || ['dead_letters', 'public.dead_letters'].includes(table)) continue
      const own =
        ofUser(columns) && !columns.some(({ name }) => name === 'tenant') ? { user: 'usr_a' } : { tenant: 'ten_a' }
      expect(await seen(table, own), table).toBe(1)
      for (const scope of [
        {},
        { tenant: '' },
        { tenant: 'ten_b' },
        { user: 'usr_b' },
        { tenant: 'ten_b', user: 'usr_b' },
      ])
        expect(await seen(table, scope), `${table} as ${JSON.stringify(scope)}`).toBe(0)
    }
  })

  it('leave nothing on a connection, and stand after an error', async () => {
    expect((await reads.query({ tenant: 'ten_a' }, 'SELECT * FROM executions.executions')).rows).toHaveLength(1)
    const bare = async () => (await app.query('SELECT * FROM executions.executions')).rows
    expect(await bare()).toEqual([])
    await expect(reads.query({ tenant: 'ten_a' }, 'SELECT 1 / 0')).rejects.toThrow('division by zero')
    await expect(reads.query({ tenant: 'ten_a' }, 'SELECT nonsense')).rejects.toThrow('nonsense')
    expect(await bare()).toEqual([])
    const named = { name: 'walls-named', text: 'SELECT $1::int AS n', values: [7] }
    expect((await reads.query({ tenant: 'ten_a' }, named)).rows).toEqual([{ n: 7 }])
    expect((await reads.query({}, named)).rows).toEqual([{ n: 7 }])
    expect((await reads.query({}, 'SELECT 5::bigint AS n')).rows).toEqual([{ n: 5 }])
  })

  it('are not written through, but for what the gateways keep themselves', async () => {
    for (const sql of [
      `UPDATE executions.executions SET status = 'x'`,
      'DELETE FROM identity.api_keys',
      `INSERT INTO identity.memberships VALUES ('ten_a', 'usr_b', 'owner', now())`,
      'CREATE TABLE public.mine ()',
      'SELECT * FROM schema_migrations',
      'SET ROLE omium',
    ])
      await expect(reads.query({ tenant: 'ten_a' }, sql), sql).rejects.toThrow(/permission denied/)
    const use = `INSERT INTO api_key_uses VALUES ('ten_a', 'other', now())`
    await expect(reads.query({ tenant: 'ten_b' }, use)).rejects.toThrow(/row-level security/)
    await reads.query({ tenant: 'ten_a' }, use)
  })

  it('need a role that they hold', async () => {
    await requireWalls(app)
    await expect(requireWalls(owner)).rejects.toMatchObject({
      code: 'settings_invalid',
      message: expect.stringMatching(/OMIUM_GATEWAY_DATABASE_URL.*superuser/),
    })
  })
})

const page = { limit: 10 }
const since = new Date(0)

/** Every read of the gateways, as ten_a or usr_a, in a way that finds something. */
const everyRead: Record<string, (reads: Reads) => Promise<unknown>> = {
  getExecution: (r) => executions.getExecution(r, 'ten_a', 'x'),
  listExecutions: (r) => executions.listExecutions(r, 'ten_a', page),
  listEvents: (r) => executions.listEvents(r, 'ten_a', 'x', { afterVersion: 0, limit: 10 }),
  listTenantCharges: (r) => executions.listTenantCharges(r, 'ten_a', { partition: 1, after: 0, upTo: 10 }),
  listTenantEvents: (r) => executions.listTenantEvents(r, 'ten_a', { partition: 1, after: 0, upTo: 10 }),
  listSteps: (r) => executions.listSteps(r, 'ten_a', 'x', page),
  listFailures: (r) => executions.listFailures(r, 'ten_a', page),
  listAgents: (r) => executions.listAgents(r, 'ten_a', page),
  getAgent: (r) => executions.getAgent(r, 'ten_a', 'x'),
  getCheckpoint: (r) => checkpoints.getCheckpoint(r, 'ten_a', 'x', 'x', 'x'),
  listCheckpoints: (r) => checkpoints.listCheckpoints(r, 'ten_a', { order: 'id', superseded: true, limit: 10 }),
  listWrites: (r) => checkpoints.listWrites(r, 'ten_a', 'x', 'x', 'x'),
  listWorkflows: (r) => workflows.listWorkflows(r, 'ten_a', page),
  getWorkflow: (r) => workflows.getWorkflow(r, 'ten_a', 'x'),
  listVersions: (r) => workflows.listVersions(r, 'ten_a', 'x'),
  getVersion: (r) => workflows.getVersion(r, 'ten_a', 'x', undefined),
  listRuns: (r) => workflows.listRuns(r, 'ten_a', 'x', page),
  listSchedules: (r) => workflows.listSchedules(r, 'ten_a', page),
  getSchedule: (r) => workflows.getSchedule(r, 'ten_a', 'x'),
  listFirings: (r) => workflows.listFirings(r, 'ten_a', 'x', page),
  listTriggers: (r) => workflows.listTriggers(r, 'ten_a', page),
  getTrigger: (r) => workflows.getTrigger(r, 'ten_a', 'x'),
  listEndpoints: (r) => webhooks.listEndpoints(r, 'ten_a', page),
  getEndpoint: (r) => webhooks.getEndpoint(r, 'ten_a', 'x'),
  listDeliveries: (r) => webhooks.listDeliveries(r, 'ten_a', 'x', page),
  getDelivery: (r) => webhooks.getDelivery(r, 'ten_a', 'x', 'x'),
  deliveryAttempts: (r) => webhooks.deliveryAttempts(r, 'ten_a', 'x', 'x'),
  listReplays: (r) => webhooks.listReplays(r, 'ten_a', 'x', page),
  listIncidents: (r) => recoveries.listIncidents(r, 'ten_a', page),
  getIncident: (r) => recoveries.getIncident(r, 'ten_a', 'x'),
  incidentHistory: (r) => recoveries.incidentHistory(r, 'ten_a', 'x'),
  listGroups: (r) => recoveries.listGroups(r, 'ten_a', { since, limit: 10 }),
  recoveryStatistics: (r) => recoveries.recoveryStatistics(r, 'ten_a', { since }),
  listPolicies: (r) => recoveries.listPolicies(r, 'ten_a', page),
  policyVersions: (r) => recoveries.policyVersions(r, 'ten_a', 'x', page),
  apiKeysById: (r) => identity.apiKeysById(r, 'x'),
  getApiKey: (r) => identity.getApiKey(r, 'ten_a', 'x'),
  listApiKeys: (r) => identity.listApiKeys(r, 'ten_a', page),
  getTenant: (r) => identity.getTenant(r, 'ten_a'),
  membershipIn: (r) => identity.membershipIn(r, 'ten_a', 'usr_a'),
  listMembers: (r) => identity.listMembers(r, 'ten_a', page),
  getMember: (r) => identity.getMember(r, 'ten_a', 'usr_a'),
  listInvitations: (r) => identity.listInvitations(r, 'ten_a', page),
  getUser: (r) => identity.getUser(r, 'usr_a'),
  membershipsOf: (r) => identity.membershipsOf(r, 'usr_a'),
  getSession: (r) => identity.getSession(r, 'usr_a', 'x'),
  sessionsOf: (r) => identity.sessionsOf(r, 'usr_a'),
  factorsOf: (r) => identity.factorsOf(r, 'usr_a'),
  factorKindsOf: (r) => identity.factorKindsOf(r, 'usr_a'),
  recoveryCodesOf: (r) => identity.recoveryCodesOf(r, 'usr_a'),
  loginsOf: (r) => identity.loginsOf(r, 'usr_a'),
  getErasure: (r) => identity.getErasure(r, 'ten_a', 'x'),
  getSsoConnection: (r) => identity.getSsoConnection(r, 'ten_a', 'x'),
  listSsoConnections: (r) => identity.listSsoConnections(r, 'ten_a', page),
  getDomain: (r) => identity.getDomain(r, 'ten_a', 'x'),
  listDomains: (r) => identity.listDomains(r, 'ten_a', page),
}

/** Reads that show nobody's rows (what there is for everybody, or for whoever knows a name that cannot be guessed), and what is no read. */
const exempt = [
  'listEngineEndpoints',
  'userOfAddress',
  'userOfLogin',
  'invitationsOf',
  'noteApiKeyUse',
  'getDeviceGrant',
  'deviceGrantOfCode',
  'ssoConnectionOfDomain',
  // by an id that is in the address of its identity provider; the row itself by its tenant
  'ssoConnectionById',
  // true or false, and what follows from it
  'ssoIsRequired',
  'ssoDemandOn',
  // true or false, and what a thread is kept for when nobody has said
  'buildsOnDamage',
  'getRetention',
]

const isRead = ([name, value]: [string, unknown]) =>
  typeof value === 'function' && !['rebuild', 'verify', 'waitingFor'].includes(name)
const isEmpty = (answer: unknown): boolean => {
  if (answer === undefined) return true
  return ((answer as { items?: readonly unknown[] }).items ?? (answer as readonly unknown[])).length === 0
}

describe('every read of the gateways', () => {
  it('is here', () => {
    const exported = [executions, checkpoints, workflows, webhooks, recoveries, identity].flatMap((one) =>
      Object.entries(one)
        .filter(isRead)
        .map(([name]) => name),
    )
    expect(exported.sort()).toEqual([...Object.keys(everyRead), ...exempt].sort())
  })

  it.each(Object.entries(everyRead))(
    '%s finds nothing as another tenant, even if it asks for these rows',
    async (_name, read) => {
      expect(isEmpty(await read(reads))).toBe(false)
      const elsewhere: Reads = {
        waiting: 0,
        query: (_scope, statement, values) => reads.query({ tenant: 'ten_b', user: 'usr_b' }, statement, values),
      }
      expect(isEmpty(await read(elsewhere))).toBe(true)
    },
  )

  it('before the tenant is known tells nothing to who cannot name what is asked for', async () => {
    expect(await identity.apiKeysById(reads, 'y')).toEqual([])
    expect(await identity.userOfAddress(reads, 'x')).toBe('usr_a')
    expect(await identity.userOfAddress(reads, 'y')).toBeUndefined()
    expect(await identity.userOfLogin(reads, { method: 'x', issuer: 'x', subject: 'x' } as never)).toBe('usr_a')
    expect(await identity.userOfLogin(reads, { method: 'x', issuer: 'x', subject: 'y' } as never)).toBeUndefined()
    expect(await identity.invitationsOf(reads, 'x', since)).toMatchObject([{ tenant: 'ten_a', tenantName: 'x' }])
    expect(await identity.invitationsOf(reads, 'y', since)).toEqual([])
    expect(await executions.listEngineEndpoints(reads)).toEqual([])
  })
})
