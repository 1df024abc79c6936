import type { AcceptedEvent } from '@omium/log'
import type { Applier, CopyValue, ProjectionTx } from '@omium/projection-kit'
import { copyRows } from '@omium/projection-kit'
import {
  type AgentEvent,
  agentEvents,
  type ExecutionEvent,
  type ExecutionOptions,
  type ExecutionStatus,
  executionEvents,
  isTerminal,
  parseAggregateKey,
} from '@omium/schemas'
import { type EventPlace, type ExecutionRow, evolve, isAbandoned, type Pending } from './execution-row.ts'
import { eventColumns, eventRow, executionColumns, executionRow, timestamp } from './rows.ts'

/**
 * Writes a batch of accepted events into the read models: one statement for each table, whatever the batch.
 *
 * Rows of running executions are kept in memory, so that a batch needs no read for those it has seen. That is sound because
 * whoever else would write them moves the offset row first, which makes this transaction fail and `forget` be called.
 */

const cachedRows = 20_000

interface FailureRow {
  readonly event: AcceptedEvent
  readonly row: ExecutionRow
  readonly code: string
  readonly detail: string
  readonly stepPath: string | null
  readonly attempt: number
  readonly final: boolean
}

export const createApplier = (): Applier => {
  /** by aggregate key, least recently used first */
  const cache = new Map<string, ExecutionRow>()

  const remember = (key: string, row: ExecutionRow) => {
    cache.delete(key)
    cache.set(key, { ...row, input: null, output: null, error: null })
    if (cache.size > cachedRows) cache.delete(cache.keys().next().value as string)
  }

  return {
    forget: () => cache.clear(),
    apply: async (events, tx) => {
      const batch = sort(events)
      const stored = await loadMissing(tx, [...batch.executions, ...batch.parked], cache)
      const rows = new Map<string, ExecutionRow>()
      const fresh = new Set<string>()
      const history: CopyValue[][] = []
      const failures: FailureRow[] = []
      const rollBacks: RollBack[] = []
      for (const event of batch.executions) {
        const key = event.envelope.aggregate
        const before = rows.get(key) ?? cache.get(key) ?? stored.get(key)
        try {
          const row = evolve(before, { type: event.type, data: event.data } as ExecutionEvent, placeOf(event))
          if (!before) fresh.add(key)
          rows.set(key, row)
          const happened = { type: event.type, data: event.data } as ExecutionEvent
          history.push(eventRow(row.id, event, isAbandoned(before, happened)))
          if (event.type === 'ExecutionRolledBack') rollBacks.push(rollBackOf(row, event))
          const failure = failureOf(event, row)
          if (failure) failures.push(failure)
        } catch (error) {
          tx.deadLetter(event, 'record_unfoldable', `${event.type} of ${key}: ${(error as Error).message}`)
        }
      }
      for (const event of batch.parked) {
        const key = event.envelope.aggregate
        const row = rows.get(key) ?? cache.get(key) ?? stored.get(key)
        if (row) failures.push(parkedFailure(event, row))
      }
      if (history.length > 0) await copyRows(tx.client, `${tx.schema}.events`, eventColumns, history)
      for (const rollBack of rollBacks) await supersede(tx, rollBack)
      for (const [key, { tenant, id }] of new Map(rollBacks.map((rollBack) => [rollBack.key, rollBack]))) {
        const stepsCompleted = await countCompleted(tx, tenant, id)
        rows.set(key, { ...(rows.get(key) as ExecutionRow), stepsCompleted })
      }
      const inserted = [...fresh].map((key) => rows.get(key) as ExecutionRow)
      const changed = [...rows].filter(([key]) => !fresh.has(key)).map(([, row]) => row)
      if (inserted.length > 0) {
        await copyRows(tx.client, `${tx.schema}.executions`, executionColumns, inserted.map(executionRow))
      }
      if (changed.length > 0) await updateExecutions(tx, changed)
      if (failures.length > 0) await insertFailures(tx, failures)
      if (batch.agents.length > 0) await upsertAgents(tx, batch.agents)
      if (batch.claims.length > 0) await upsertOwners(tx, batch.claims)
      for (const [key, row] of rows) {
        if (isTerminal(row.status)) cache.delete(key)
        else remember(key, row)
      }
    },
  }
}

interface Sorted {
  readonly executions: AcceptedEvent[]
  readonly agents: AcceptedEvent<AgentEvent['data']>[]
  readonly claims: AcceptedEvent<{ owner: string; endpoint?: string }>[]
  readonly parked: AcceptedEvent<{ detail: string }>[]
}

/** Permits and commands' outcomes leave no trace in these read models. */
const sort = (events: readonly AcceptedEvent[]): Sorted => {
  const sorted: Sorted = { executions: [], agents: [], claims: [], parked: [] }
  for (const event of events) {
    if (event.type in executionEvents) sorted.executions.push(event)
    else if (event.type in agentEvents) sorted.agents.push(event as AcceptedEvent<AgentEvent['data']>)
    else if (event.type === 'PartitionClaimed') sorted.claims.push(event as Sorted['claims'][number])
    else if (event.type === 'AggregateParked') sorted.parked.push(event as Sorted['parked'][number])
  }
  return sorted
}

const placeOf = ({ envelope, partition, offset }: AcceptedEvent): EventPlace => ({
  tenant: envelope.tenant,
  version: envelope.version,
  time: envelope.time,
  partition,
  offset,
})

const failureOf = (event: AcceptedEvent, row: ExecutionRow): FailureRow | undefined => {
  const { type, data } = event as { type: string } & AcceptedEvent as ExecutionEvent & AcceptedEvent
  const base = { event, row }
  switch (type) {
    case 'StepFailed': {
      const { error, path, stepAttempt, retryAt } = data as Extract<ExecutionEvent, { type: 'StepFailed' }>['data']
      return {
        ...base,
        code: error.code,
        detail: error.detail,
        stepPath: path,
        attempt: stepAttempt,
        final: retryAt === null,
      }
    }
    case 'AttemptFailed': {
      const { error, attempt } = data as Extract<ExecutionEvent, { type: 'AttemptFailed' }>['data']
      return { ...base, code: error.code, detail: error.detail, stepPath: null, attempt, final: false }
    }
    case 'RecoveryAwaited': {
      const { error, attempt } = data as Extract<ExecutionEvent, { type: 'RecoveryAwaited' }>['data']
      const { code, detail } = error
      return { ...base, code, detail, stepPath: null, attempt: attempt ?? row.attempt, final: false }
    }
    case 'ExecutionFailed': {
      const { error, attempt } = data as Extract<ExecutionEvent, { type: 'ExecutionFailed' }>['data']
      return {
        ...base,
        code: error.code,
        detail: error.detail,
        stepPath: null,
        attempt: attempt ?? row.attempt,
        final: true,
      }
    }
    default:
      return undefined
  }
}

/** The run stands still from here on: a failure that nothing in its own history shows. */
const parkedFailure = (event: Sorted['parked'][number], row: ExecutionRow): FailureRow => ({
  event,
  row,
  code: 'execution_parked',
  detail: event.data.detail,
  stepPath: null,
  attempt: row.attempt,
  final: false,
})

interface RollBack {
  /** of the aggregate */
  readonly key: string
  readonly tenant: string
  readonly id: string
  readonly version: number
  readonly toPath: string | null
}

const rollBackOf = ({ tenant, id }: ExecutionRow, { envelope, data }: AcceptedEvent): RollBack => {
  const { toPath } = data as Extract<ExecutionEvent, { type: 'ExecutionRolledBack' }>['data']
  return { key: envelope.aggregate, tenant, id, version: envelope.version, toPath }
}

/**
 * Marks what a roll back made void: every path that had not settled for the last time when `toPath` did. A `toPath` that the
 * run itself never settled is one that it took over, which lies before all of its own.
 */
const supersede = (tx: ProjectionTx, { tenant, id, version, toPath }: RollBack) =>
  tx.client.query(
    `WITH alive AS (
       SELECT version, path, settles FROM ${tx.schema}.events
       WHERE tenant = $1 AND execution_id = $2 AND version < $3 AND path IS NOT NULL AND superseded_by IS NULL),
     point AS (SELECT coalesce(max(version), 0) AS version FROM alive WHERE path = $4 AND settles),
     void AS (
       SELECT path FROM alive GROUP BY path
       HAVING coalesce(max(version) FILTER (WHERE settles), 'Infinity'::float8) > (SELECT version FROM point))
     UPDATE ${tx.schema}.events e SET superseded_by = $3 FROM void
     WHERE e.tenant = $1 AND e.execution_id = $2 AND e.version < $3 AND e.superseded_by IS NULL AND e.path = void.path`,
    [tenant, id, version, toPath],
  )

/** Steps that completed and still count. Data is looked into here: JSON operators refuse text with U+0000. */
const countCompleted = async (tx: ProjectionTx, tenant: string, id: string): Promise<number> => {
  const { rows } = await tx.client.query<{ count: number; data: { resolution?: { status: string } } | null }>(
    `SELECT count(*)::int AS count, NULL::json AS data FROM ${tx.schema}.events
     WHERE tenant = $1 AND execution_id = $2 AND type = 'StepCompleted' AND superseded_by IS NULL
     UNION ALL
     SELECT 0, data FROM ${tx.schema}.events
     WHERE tenant = $1 AND execution_id = $2 AND type = 'StepOutcomeResolved' AND superseded_by IS NULL`,
    [tenant, id],
  )
  return rows.reduce((sum, { count, data }) => sum + count + (data?.resolution?.status === 'completed' ? 1 : 0), 0)
}

interface StoredRow {
  tenant: string
  id: string
  agent: string
  status: ExecutionStatus
  attempt: number
  pending: Pending
  steps_completed: number
  cost_micro_credits: number
  input_tokens: number
  output_tokens: number
  options: ExecutionOptions
  parent_id: string | null
  forked_from: string | null
  forked_upto: string | null
  generation: number
  created_at: Date
  started_at: Date | null
  finished_at: Date | null
  version: number
  partition: number
  log_offset: number
}

/** Rows of executions that the batch goes on with and the cache does not have, by aggregate key. */
const loadMissing = async (
  tx: ProjectionTx,
  events: readonly AcceptedEvent[],
  cache: ReadonlyMap<string, ExecutionRow>,
): Promise<Map<string, ExecutionRow>> => {
  const wanted = new Map<string, { tenant: string; id: string }>()
  for (const { envelope } of events) {
    if (envelope.version === 1 || cache.has(envelope.aggregate) || wanted.has(envelope.aggregate)) continue
    const key = parseAggregateKey(envelope.aggregate)
    if (key) wanted.set(envelope.aggregate, { tenant: envelope.tenant, id: key.id })
  }
  if (wanted.size === 0) return new Map()
  const keys = [...wanted.values()]
  const { rows } = await tx.client.query<StoredRow>(
    `SELECT tenant, id, agent, status, attempt, pending, steps_completed, cost_micro_credits, input_tokens, output_tokens,
            options, parent_id, forked_from, forked_upto, generation, created_at, started_at, finished_at, version, partition,
            log_offset
     FROM ${tx.schema}.executions JOIN unnest($1::text[], $2::text[]) AS wanted (tenant, id) USING (tenant, id)`,
    [keys.map(({ tenant }) => tenant), keys.map(({ id }) => id)],
  )
  return new Map(rows.map((row) => [`execution:${row.tenant}/${row.id}`, fromStored(row)]))
}

const fromStored = (row: StoredRow): ExecutionRow => ({
  tenant: row.tenant,
  id: row.id,
  agent: row.agent,
  status: row.status,
  attempt: row.attempt,
  pending: row.pending,
  stepsCompleted: row.steps_completed,
  costMicroCredits: row.cost_micro_credits,
  inputTokens: row.input_tokens,
  outputTokens: row.output_tokens,
  options: row.options,
  input: null,
  output: null,
  error: null,
  parentId: row.parent_id,
  forkedFrom: row.forked_from,
  forkedToPath: row.forked_upto,
  generation: row.generation,
  createdAt: row.created_at.getTime(),
  startedAt: row.started_at?.getTime() ?? null,
  finishedAt: row.finished_at?.getTime() ?? null,
  version: row.version,
  partition: row.partition,
  offset: row.log_offset,
})

/** Everything that can change after the request. The input never does, the rest of the columns are immutable. */
const updateExecutions = async (tx: ProjectionTx, rows: readonly ExecutionRow[]) => {
  await tx.client.query({
    name: `executions-update-${tx.schema}`,
    text: `UPDATE ${tx.schema}.executions e SET
      status = u.status, attempt = u.attempt, pending = u.pending, steps_completed = u.steps_completed,
      cost_micro_credits = u.cost, input_tokens = u.input_tokens, output_tokens = u.output_tokens,
      output = coalesce(u.output, e.output), error = coalesce(u.error, e.error),
      started_at = u.started_at, finished_at = u.finished_at, generation = u.generation,
      version = u.version, log_offset = u.log_offset
    FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::json[], $6::int[], $7::bigint[], $8::bigint[], $9::bigint[],
                $10::json[], $11::json[], $12::timestamptz[], $13::timestamptz[], $14::int[], $15::int[], $16::bigint[])
      AS u (tenant, id, status, attempt, pending, steps_completed, cost, input_tokens, output_tokens,
            output, error, started_at, finished_at, generation, version, log_offset)
    WHERE e.tenant = u.tenant AND e.id = u.id`,
    values: [
      rows.map(({ tenant }) => tenant),
      rows.map(({ id }) => id),
      rows.map(({ status }) => status),
      rows.map(({ attempt }) => attempt),
      rows.map(({ pending }) => JSON.stringify(pending)),
      rows.map(({ stepsCompleted }) => stepsCompleted),
      rows.map(({ costMicroCredits }) => costMicroCredits),
      rows.map(({ inputTokens }) => inputTokens),
      rows.map(({ outputTokens }) => outputTokens),
      rows.map(({ output }) => output && JSON.stringify(output)),
      rows.map(({ error }) => error && JSON.stringify(error)),
      rows.map(({ startedAt }) => startedAt && timestamp(startedAt)),
      rows.map(({ finishedAt }) => finishedAt && timestamp(finishedAt)),
      rows.map(({ generation }) => generation),
      rows.map(({ version }) => version),
      rows.map(({ offset }) => offset),
    ],
  })
}

const insertFailures = (tx: ProjectionTx, failures: readonly FailureRow[]) =>
  copyRows(
    tx.client,
    `${tx.schema}.failures`,
    ['tenant', 'time', 'execution_id', 'version', 'agent', 'code', 'detail', 'step_path', 'attempt', 'final'],
    failures.map(({ event, row, code, detail, stepPath, attempt, final }) => [
      row.tenant,
      timestamp(event.envelope.time),
      row.id,
      event.envelope.version,
      row.agent,
      code,
      detail,
      stepPath,
      attempt,
      final,
    ]),
  )

/** The last registration of each agent in the batch. */
const upsertAgents = async (tx: ProjectionTx, events: Sorted['agents']) => {
  const last = new Map(events.map((event) => [event.envelope.aggregate, event]))
  for (const { envelope, data } of last.values()) {
    await tx.client.query(
      `INSERT INTO ${tx.schema}.agents (tenant, agent, definition, definition_hash, registered_at, version)
       VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (tenant, agent) DO UPDATE SET definition = excluded.definition,
         definition_hash = excluded.definition_hash, registered_at = excluded.registered_at, version = excluded.version`,
      [
        envelope.tenant,
        data.definition.agentId,
        JSON.stringify(data.definition),
        data.definitionHash,
        timestamp(envelope.time),
        envelope.version,
      ],
    )
  }
}

const upsertOwners = async (tx: ProjectionTx, events: Sorted['claims']) => {
  const last = new Map(events.map((event) => [event.partition, event]))
  for (const { envelope, data, partition } of last.values()) {
    await tx.client.query(
      `INSERT INTO ${tx.schema}.partition_owners (partition, epoch, owner, endpoint, claimed_at)
       VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (partition) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner,
         endpoint = excluded.endpoint, claimed_at = excluded.claimed_at`,
      [partition, envelope.epoch, data.owner, data.endpoint ?? null, timestamp(envelope.time)],
    )
  }
}
