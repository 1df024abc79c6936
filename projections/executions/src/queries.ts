import { byId, byTime, keyset, type Page, type Paging, type Reads } from '@omium/projection-kit'
import type { AgentDefinition, ExecutionStatus, JsonValue, Payload } from '@omium/schemas'
import type { ExecutionRow } from './execution-row.ts'

/**
 * Everything that is read from the execution read models. Every function takes the tenant first and every statement has it
 * in its WHERE clause: another tenant's rows are as if they did not exist. Payloads come as recorded, references unopened.
 */

/** An execution as it is read: its row, with times as the database gives them. Lists come without input and output. */
export interface ExecutionRecord
  extends Omit<ExecutionRow, 'tenant' | 'input' | 'output' | 'createdAt' | 'startedAt' | 'finishedAt'> {
  readonly input?: Payload
  readonly output?: Payload | null
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly finishedAt: Date | null
}

const listColumns = `id, agent, status, attempt, pending, steps_completed AS "stepsCompleted",
  cost_micro_credits AS "costMicroCredits", input_tokens AS "inputTokens", output_tokens AS "outputTokens", options, error,
  parent_id AS "parentId", forked_from AS "forkedFrom", forked_upto AS "forkedToPath", generation, created_at AS "createdAt", started_at AS "startedAt",
  finished_at AS "finishedAt", version, partition, log_offset AS "offset"`

export interface ExecutionFilter extends Paging {
  readonly status?: ExecutionStatus | undefined
  readonly agent?: string | undefined
  readonly parent?: string | undefined
  readonly forkedFrom?: string | undefined
  /** every one of them has to be there, with this value */
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** a label that must not be there, whatever its value */
  readonly withoutLabel?: string | undefined
  /** runs of these agents, and runs of these workflows; undefined: all */
  readonly within?: { readonly agents: readonly string[]; readonly workflows: readonly string[] } | undefined
}

const byVersion = keyset('integer')
const byFailure = keyset('time', 'text', 'integer')

/** rows that a page is asked for: few sizes, so that statements are few */
const pageSizes = [21, 51, 201]

/** Newest first, without inputs and outputs. @throws OmiumError `invalid_request` for a cursor that this list never gave */
export const listExecutions = async (
  reads: Reads,
  tenant: string,
  { status, agent, parent, forkedFrom, labels, withoutLabel, within, limit, cursor }: ExecutionFilter,
): Promise<Page<ExecutionRecord>> => {
  const values: unknown[] = [tenant]
  const bind = (value: unknown) => `$${values.push(value)}`
  const conditions = ['tenant = $1']
  if (status) conditions.push(`status = ${bind(status)}`)
  // the partial index serves every status but this one
  if (status && status !== 'completed') conditions.push(`status <> 'completed'`)
  if (agent) conditions.push(`agent = ${bind(agent)}`)
  if (parent) conditions.push(`parent_id = ${bind(parent)}`)
  if (forkedFrom) conditions.push(`forked_from = ${bind(forkedFrom)}`)
  if (labels) conditions.push(`labels @> ${bind(JSON.stringify(labels))}::jsonb`)
  if (withoutLabel) conditions.push(`jsonb_exists(labels, ${bind(withoutLabel)}) IS NOT TRUE`)
  if (within)
    conditions.push(`(agent = ANY(${bind(within.agents)}) OR (agent = 'omium.workflow'
      AND regexp_replace(id, '^wf\\.([^.]+)\\..+$', '\\1') = ANY(${bind(within.workflows)})))`)
  const before = byTime.after(cursor)
  if (before) conditions.push(`(created_at, id) < (${bind(before[0])}::timestamptz, ${bind(before[1])})`)
  // planning costs more than reading a page: what is asked for all the time is planned once for each connection, which takes a
  // limit that the planner knows
  const size = pageSizes.find((rows) => rows > limit) ?? limit + 1
  const isUsual = !(parent || forkedFrom || labels || withoutLabel || within)
  const shape = [size, status && (status === 'completed' ? 'c' : 's'), agent && 'a', before && 'p'].filter(Boolean)
  const { rows } = await reads.query<ExecutionRecord>(
    { tenant },
    {
      ...(isUsual && { name: `executions-${shape.join('-')}` }),
      text: `SELECT ${listColumns} FROM executions.executions WHERE ${conditions.join(' AND ')}
     ORDER BY created_at DESC, id DESC LIMIT ${size}`,
      values,
    },
  )
  return byTime.page(rows, limit, ({ createdAt, id }) => [createdAt, id])
}

export const getExecution = async (reads: Reads, tenant: string, id: string): Promise<ExecutionRecord | undefined> => {
  const { rows } = await reads.query<ExecutionRecord>(
    { tenant },
    {
      name: 'execution-get',
      text: `SELECT ${listColumns}, input, output FROM executions.executions WHERE tenant = $1 AND id = $2`,
      values: [tenant, id],
    },
  )
  return rows[0]
}

export interface EventRecord {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly time: Date
  readonly actor: string
  readonly commandId: string | null
  readonly partition: number
  readonly offset: number
  readonly data: JsonValue
  /** length of `data` as JSON */
  readonly bytes: number
}

/** History in order, from the version after `afterVersion`. */
export const listEvents = async (
  reads: Reads,
  tenant: string,
  executionId: string,
  { afterVersion, limit }: { afterVersion: number; limit: number },
): Promise<readonly EventRecord[]> => {
  const { rows } = await reads.query<EventRecord>(
    { tenant },
    {
      name: 'execution-events',
      text: `SELECT event_id AS id, type, version, time, actor, command_id AS "commandId", partition, log_offset AS "offset", data,
             octet_length(data::text) AS bytes
           FROM executions.events WHERE tenant = $1 AND execution_id = $2 AND version > $3 ORDER BY version LIMIT $4`,
      values: [tenant, executionId, afterVersion, limit],
    },
  )
  return rows
}

/** Events of all of a tenant's executions in one partition, in log order; `after` excluded, `upTo` included. */
export const listTenantEvents = async (
  reads: Reads,
  tenant: string,
  { partition, after, upTo }: { partition: number; after: number; upTo: number },
): Promise<readonly (EventRecord & { readonly executionId: string })[]> => {
  const { rows } = await reads.query<EventRecord & { executionId: string }>(
    { tenant },
    {
      name: 'tenant-events',
      text: `SELECT execution_id AS "executionId", event_id AS id, type, version, time, actor, command_id AS "commandId", partition,
             log_offset AS "offset", data
           FROM executions.events WHERE tenant = $1 AND partition = $2 AND log_offset > $3 AND log_offset <= $4 ORDER BY log_offset`,
      values: [tenant, partition, after, upTo],
    },
  )
  return rows
}

/** As {@link listTenantEvents}, of steps that used a model or cost something only; `data` has their usage and no content. */
export const listTenantCharges: typeof listTenantEvents = async (reads, tenant, { partition, after, upTo }) => {
  const { rows } = await reads.query<EventRecord & { executionId: string }>(
    { tenant },
    {
      name: 'tenant-charges',
      text: `SELECT execution_id AS "executionId", event_id AS id, type, version, time, actor, command_id AS "commandId", partition,
             log_offset AS "offset", json_strip_nulls(json_build_object('attempt', attempt, 'path', data -> 'path', 'name', step_name,
               'kind', step_kind, 'stepAttempt', step_attempt, 'usage', json_build_object('model', model,
               'inputTokens', input_tokens, 'outputTokens', output_tokens, 'costMicroCredits', cost_micro_credits))) AS data
           FROM executions.events
           WHERE tenant = $1 AND partition = $2 AND log_offset > $3 AND log_offset <= $4
             AND num_nonnulls(model, input_tokens, output_tokens, cost_micro_credits) > 0
           ORDER BY log_offset`,
      values: [tenant, partition, after, upTo],
    },
  )
  return rows
}

export interface StepRecord {
  readonly path: string
  readonly firstVersion: number
  readonly firstType: string
  readonly firstData: Record<string, unknown>
  readonly firstTime: Date
  readonly lastType: string
  readonly lastData: Record<string, unknown>
  readonly lastTime: Date
  /** version of the roll back that made it void */
  readonly supersededBy: number | null
}

/**
 * First and last event of each step, timer, wait, approval and child, in the order in which they began; what a roll back made
 * void only when asked for.
 */
export const listSteps = async (
  reads: Reads,
  tenant: string,
  executionId: string,
  { limit, cursor, superseded = false }: Paging & { superseded?: boolean },
): Promise<Page<StepRecord>> => {
  const [after] = byVersion.after(cursor) ?? [0]
  const { rows } = await reads.query<StepRecord>(
    { tenant },
    {
      name: 'execution-steps',
      text: `WITH paths AS (
        SELECT path, superseded_by, min(version) AS first, max(version) AS last FROM executions.events
        WHERE tenant = $1 AND execution_id = $2 AND path IS NOT NULL AND ($5 OR superseded_by IS NULL)
        GROUP BY path, superseded_by HAVING min(version) > $3 ORDER BY min(version) LIMIT $4)
      SELECT p.path, p.superseded_by AS "supersededBy", p.first AS "firstVersion", f.type AS "firstType", f.data AS "firstData", f.time AS "firstTime",
             l.type AS "lastType", l.data AS "lastData", l.time AS "lastTime"
      FROM paths p
      JOIN executions.events f ON f.tenant = $1 AND f.execution_id = $2 AND f.version = p.first
      JOIN executions.events l ON l.tenant = $1 AND l.execution_id = $2 AND l.version = p.last
      ORDER BY p.first`,
      values: [tenant, executionId, after, limit + 1, superseded],
    },
  )
  return byVersion.page(rows, limit, ({ firstVersion }) => [firstVersion])
}

export interface FailureRecord {
  readonly executionId: string
  readonly version: number
  readonly agent: string
  readonly code: string
  readonly detail: string
  readonly stepPath: string | null
  readonly attempt: number
  readonly time: Date
  readonly final: boolean
}

/** Failures of steps, attempts and executions, newest first. */
export const listFailures = async (
  reads: Reads,
  tenant: string,
  { execution, limit, cursor }: Paging & { execution?: string | undefined },
): Promise<Page<FailureRecord>> => {
  const values: unknown[] = [tenant]
  const bind = (value: unknown) => `$${values.push(value)}`
  const conditions = ['tenant = $1']
  if (execution) conditions.push(`execution_id = ${bind(execution)}`)
  const before = byFailure.after(cursor)
  if (before) {
    const [time, id, version] = before
    conditions.push(`(time, execution_id, version) < (${bind(time)}::timestamptz, ${bind(id)}, ${bind(version)})`)
  }
  const { rows } = await reads.query<FailureRecord>(
    { tenant },
    `SELECT execution_id AS "executionId", version, agent, code, detail, step_path AS "stepPath", attempt, time, final
     FROM executions.failures WHERE ${conditions.join(' AND ')}
     ORDER BY time DESC, execution_id DESC, version DESC LIMIT ${bind(limit + 1)}`,
    values,
  )
  return byFailure.page(rows, limit, ({ time, executionId, version }) => [time, executionId, version])
}

export interface AgentRecord {
  readonly agent: string
  readonly definition: AgentDefinition
  readonly definitionHash: string
  readonly registeredAt: Date
}

const agentColumns = 'agent, definition, definition_hash AS "definitionHash", registered_at AS "registeredAt"'

export const listAgents = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: Paging,
): Promise<Page<AgentRecord>> => {
  const [after] = byId.after(cursor) ?? ['']
  const { rows } = await reads.query<AgentRecord>(
    { tenant },
    `SELECT ${agentColumns} FROM executions.agents WHERE tenant = $1 AND agent > $2 ORDER BY agent LIMIT $3`,
    [tenant, after, limit + 1],
  )
  return byId.page(rows, limit, ({ agent }) => [agent])
}

export const getAgent = async (reads: Reads, tenant: string, agent: string): Promise<AgentRecord | undefined> => {
  const { rows } = await reads.query<AgentRecord>(
    { tenant },
    {
      name: 'agent-get',
      text: `SELECT ${agentColumns} FROM executions.agents WHERE tenant = $1 AND agent = $2`,
      values: [tenant, agent],
    },
  )
  return rows[0]
}

/** Where workers reach the owners of the partitions, without repeats. Engines belong to the installation, not a tenant. */
export const listEngineEndpoints = async (reads: Reads): Promise<string[]> => {
  const { rows } = await reads.query<{ endpoint: string }>(
    {},
    'SELECT DISTINCT endpoint FROM executions.partition_owners WHERE endpoint IS NOT NULL ORDER BY endpoint',
  )
  return rows.map(({ endpoint }) => endpoint)
}
