import { freshDatabase, gatewayDatabaseUrl } from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import * as checkpoints from '@omium/projection-checkpoints'
import * as executions from '@omium/projection-executions'
import * as identity from '@omium/projection-identity'
import { createPool, createReads, type Reads } from '@omium/projection-kit'
import * as recoveries from '@omium/projection-recoveries'
import * as webhooks from '@omium/projection-webhooks'
import * as workflows from '@omium/projection-workflows'
import type { Pool, QueryResultRow } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/**
 * A page costs a page, the first as the last: PostgreSQL reads a few rows for it, whatever else the tenant and others have. That
 * holds from the first minute: nobody has analysed what grows by runs, and a connection keeps what it planned for statements
 * with a name.
 */

const ofTenant = 3_000
const ofOthers = 2_000
const limit = 20
/** rows that a page may touch */
const mostRows = 3 * (limit + 1)

let owner: Pool
let app: Pool
let reads: Reads
/** of each statement since the list was asked: its plan, and the most rows that one of its nodes touched */
let touched: { readonly rows: number; readonly plan: string }[] = []

interface PlanNode {
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly PlanNode[]
}

const mostTouched = (node: PlanNode): number => {
  const { 'Actual Rows': rows, 'Actual Loops': loops, 'Rows Removed by Filter': dropped = 0, Plans = [] } = node
  return Math.max((rows + dropped) * loops, ...Plans.map(mostTouched))
}

interface Filled {
  /** columns that tell rows apart; everything else is the same in all rows of a tenant */
  readonly by: readonly string[]
  readonly values?: Readonly<Record<string, string>>
}

const cellOf = (name: string, type: string, { by, values }: Filled): string => {
  const given = values?.[name]
  if (given !== undefined) return `'${given}'`
  if (type.startsWith('timestamp'))
    return by.includes(name) ? `timestamptz '2026-01-01' + n * interval '1 second'` : `timestamptz '2026-01-01'`
  if (/^(int|bigint|double)/.test(type)) return by.includes(name) ? 'n' : '1'
  if (type === 'text') return by.includes(name) ? `'x' || lpad(n::text, 6, '0')` : `'x'`
  if (type === 'boolean') return 'false'
  return type === 'text[]' ? `'{}'::text[]` : `'{}'::${type}`
}

const fill = async (table: string, filled: Filled): Promise<void> => {
  const { rows } = await owner.query<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND (attnotnull OR attname = ANY($2))`,
    [table, [...filled.by, ...Object.keys(filled.values ?? {})]],
  )
  const columns = rows.filter(({ name }) => name !== 'tenant')
  await owner.query(`ALTER TABLE ${table} SET (autovacuum_enabled = off)`)
  await owner.query(
    `INSERT INTO ${table} (tenant, ${columns.map(({ name }) => `"${name}"`).join(', ')})
     SELECT CASE WHEN n <= ${ofTenant} THEN 'ten_a' ELSE 'ten_' || n % 20 END,
            ${columns.map(({ name, type }) => cellOf(name, type, filled)).join(', ')}
     FROM generate_series(1, ${ofTenant + ofOthers}) n`,
  )
}

const tables: Record<string, Filled> = {
  'executions.executions': {
    by: ['id', 'created_at'],
    values: { status: 'running', parent_id: 'x', forked_from: 'x', labels: '{"a":"b"}' },
  },
  'executions.events': { by: ['version'] },
  'executions.failures': { by: ['execution_id', 'time'] },
  'executions.agents': { by: ['agent'] },
  'checkpoints.checkpoints': { by: ['id', 'seq', 'created_at'] },
  'workflows.workflows': { by: ['id'] },
  'workflows.runs': { by: ['id', 'requested_at'] },
  'workflows.schedules': { by: ['id'], values: { status: 'active' } },
  'workflows.firings': { by: ['nominal_at'] },
  'workflows.triggers': { by: ['id'], values: { status: 'active' } },
  'webhooks.endpoints': { by: ['id', 'created_at'] },
  'webhooks.deliveries': { by: ['id', 'requested_at'] },
  'webhooks.replays': { by: ['id', 'requested_at'] },
  'recoveries.incidents': { by: ['id', 'opened_at'], values: { status: 'waiting' } },
  'identity.api_keys': { by: ['id', 'created_at'] },
  'identity.memberships': { by: ['user_id', 'since'] },
  'identity.invitations': { by: ['id', 'invited_at'], values: { status: 'open' } },
}

beforeAll(async () => {
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  owner = createPool(databaseUrl)
  app = createPool(gatewayDatabaseUrl(databaseUrl), { max: 1 })
  for (const [table, filled] of Object.entries(tables)) await fill(table, filled)
  // they grow by hand: the database knows them before they are long, and joins are planned by what it knows
  await owner.query('ANALYZE identity.api_keys, identity.memberships, identity.users, api_key_uses')
  const real = createReads(app)
  reads = {
    waiting: 0,
    query: async <R extends QueryResultRow>(...[scope, statement, values]: Parameters<Reads['query']>) => {
      const { text, name, values: bound } = typeof statement === 'string' ? { text: statement, values } : statement
      // what has a name is planned once, for any values
      await app.query(`SET plan_cache_mode = force_${name === undefined ? 'custom' : 'generic'}_plan`)
      const explained = await real.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
        scope,
        `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
        bound,
      )
      const plan = explained.rows[0]?.['QUERY PLAN'][0].Plan as PlanNode
      touched.push({ rows: mostTouched(plan), plan: JSON.stringify(plan, null, 1) })
      return real.query<R>(scope, text, bound)
    },
  }
}, 60_000)
afterAll(async () => {
  await app?.end()
  await owner?.end()
})

type List = (page: { limit: number; cursor?: string }) => Promise<{
  readonly items: readonly unknown[]
  readonly nextCursor?: string
}>

const runs =
  (filter: object): List =>
  (page) =>
    executions.listExecutions(reads, 'ten_a', { ...filter, ...page })
const kept =
  (filter: object): List =>
  (page) =>
    checkpoints.listCheckpoints(reads, 'ten_a', { order: 'created', superseded: false, ...filter, ...page })

const lists: Record<string, List> = {
  executions: runs({}),
  'executions of a status': runs({ status: 'running' }),
  'executions of an agent': runs({ agent: 'x' }),
  'executions of a status and an agent': runs({ status: 'running', agent: 'x' }),
  children: runs({ parent: 'x' }),
  forks: runs({ forkedFrom: 'x' }),
  failures: (page) => executions.listFailures(reads, 'ten_a', page),
  agents: (page) => executions.listAgents(reads, 'ten_a', page),
  events: async ({ limit, cursor = '0' }) => {
    const items = await executions.listEvents(reads, 'ten_a', 'x', { afterVersion: Number(cursor), limit })
    return { items, ...(items.length === limit && { nextCursor: String(items.at(-1)?.version) }) }
  },
  checkpoints: kept({}),
  'checkpoints of a thread': kept({ thread: 'x' }),
  'checkpoints by id': kept({ order: 'id' }),
  workflows: (page) => workflows.listWorkflows(reads, 'ten_a', page),
  'runs of a workflow': (page) => workflows.listRuns(reads, 'ten_a', 'x', page),
  schedules: (page) => workflows.listSchedules(reads, 'ten_a', page),
  firings: (page) => workflows.listFirings(reads, 'ten_a', 'x', page),
  triggers: (page) => workflows.listTriggers(reads, 'ten_a', page),
  endpoints: (page) => webhooks.listEndpoints(reads, 'ten_a', page),
  deliveries: (page) => webhooks.listDeliveries(reads, 'ten_a', 'x', page),
  'deliveries of a status': (page) => webhooks.listDeliveries(reads, 'ten_a', 'x', { ...page, status: 'x' as never }),
  'webhook replays': (page) => webhooks.listReplays(reads, 'ten_a', 'x', page),
  incidents: (page) => recoveries.listIncidents(reads, 'ten_a', page),
  'incidents of a status': (page) => recoveries.listIncidents(reads, 'ten_a', { ...page, status: 'waiting' as never }),
  'incidents of a run': (page) => recoveries.listIncidents(reads, 'ten_a', { ...page, execution: 'x' }),
  'API keys': (page) => identity.listApiKeys(reads, 'ten_a', page),
  members: (page) => identity.listMembers(reads, 'ten_a', page),
  invitations: (page) => identity.listInvitations(reads, 'ten_a', page),
}

describe('a page of', () => {
  it.each(Object.entries(lists))('%s costs a page', async (_name, list) => {
    const measure = async (cursor?: string) => {
      touched = []
      const { items } = await list({ limit, ...(cursor !== undefined && { cursor }) })
      expect(items).toHaveLength(limit)
      for (const { rows, plan } of touched) expect(rows, plan).toBeLessThanOrEqual(mostRows)
    }
    await measure()
    let cursor: string | undefined
    for (let read = 0; read < ofTenant / 2; read += 200)
      cursor = (await list({ limit: 200, ...(cursor !== undefined && { cursor }) })).nextCursor
    expect(cursor).toBeDefined()
    await measure(cursor)
  })
})
