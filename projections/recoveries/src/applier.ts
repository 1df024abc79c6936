import type { AcceptedEvent } from '@omium/log'
import type { Applier, ProjectionTx } from '@omium/projection-kit'
import {
  type IncidentEvent,
  incidentEvents,
  parseAggregateKey,
  type RecoveryPolicyEvent,
  recoveryPolicyEvents,
} from '@omium/schemas'
import { evolve, type IncidentRow } from './incident-row.ts'
import { columnNames, fromStored, incidentColumns, type StoredIncident, toStored } from './rows.ts'

/**
 * Writes a batch of accepted events into the read models. Incidents are rare beside the steps of runs: their rows are read
 * back for each batch rather than cached.
 */

const idOf = ({ envelope }: AcceptedEvent): string => parseAggregateKey(envelope.aggregate)?.id ?? ''
const timestamp = (ms: number): string => new Date(ms).toISOString()

export const createApplier = (): Applier => ({
  forget: () => undefined,
  apply: async (events, tx) => {
    const incidents = events.filter(({ type }) => type in incidentEvents)
    const policies = events.filter(({ type }) => type in recoveryPolicyEvents)
    if (incidents.length > 0) await applyIncidents(incidents, tx)
    for (const event of policies) await applyPolicy(event, tx)
  },
})

const applyIncidents = async (events: readonly AcceptedEvent[], tx: ProjectionTx): Promise<void> => {
  const rows = await load(events, tx)
  const history: AcceptedEvent[] = []
  for (const event of events) {
    const { envelope, type, data, partition, offset } = event
    const { tenant, version, time, aggregate } = envelope
    try {
      const place = { tenant, id: idOf(event), version, time, partition, offset }
      rows.set(aggregate, evolve(rows.get(aggregate), { type, data } as IncidentEvent, place))
      history.push(event)
    } catch (error) {
      tx.deadLetter(event, 'record_unfoldable', `${type} of ${aggregate}: ${(error as Error).message}`)
    }
  }
  const changed = new Set(history.map(({ envelope }) => envelope.aggregate))
  await upsert(
    [...changed].map((key) => rows.get(key) as IncidentRow),
    tx,
  )
  await insertHistory(history, tx)
  await insertTries(history, tx)
}

const load = async (events: readonly AcceptedEvent[], tx: ProjectionTx): Promise<Map<string, IncidentRow>> => {
  const keys = new Map(
    events.map((event) => [event.envelope.aggregate, { tenant: event.envelope.tenant, id: idOf(event) }]),
  )
  const { rows } = await tx.client.query<StoredIncident>(
    `SELECT ${columnNames} FROM ${tx.schema}.incidents
     JOIN unnest($1::text[], $2::text[]) AS wanted (tenant, id) USING (tenant, id)`,
    [[...keys.values()].map(({ tenant }) => tenant), [...keys.values()].map(({ id }) => id)],
  )
  return new Map(rows.map((row) => [`incident:${row.tenant}/${row.id}`, fromStored(row)]))
}

const upsert = async (rows: readonly IncidentRow[], tx: ProjectionTx): Promise<void> => {
  if (rows.length === 0) return
  const stored = rows.map(toStored)
  const names = incidentColumns.map(([name]) => name)
  await tx.client.query(
    `INSERT INTO ${tx.schema}.incidents (${columnNames})
     SELECT * FROM unnest(${incidentColumns.map(([, type], i) => `$${i + 1}::${type}[]`).join(', ')})
     ON CONFLICT (tenant, id) DO UPDATE SET ${names
       .filter((name) => name !== 'tenant' && name !== 'id')
       .map((name) => `${name} = excluded.${name}`)
       .join(', ')}`,
    names.map((name) => stored.map((row) => row[name])),
  )
}

const insertHistory = async (events: readonly AcceptedEvent[], tx: ProjectionTx): Promise<void> => {
  if (events.length === 0) return
  await tx.client.query(
    `INSERT INTO ${tx.schema}.history (tenant, incident_id, version, event_id, type, time, actor, data)
     SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::json[])`,
    [
      events.map(({ envelope }) => envelope.tenant),
      events.map(idOf),
      events.map(({ envelope }) => envelope.version),
      events.map(({ envelope }) => envelope.id),
      events.map(({ type }) => type),
      events.map(({ envelope }) => timestamp(envelope.time)),
      events.map(({ envelope }) => envelope.actor),
      events.map(({ data }) => JSON.stringify(data)),
    ],
  )
}

type Outcome = Extract<IncidentEvent, { type: 'RecoverySucceeded' | 'RecoveryFailed' }>

const insertTries = async (events: readonly AcceptedEvent[], tx: ProjectionTx): Promise<void> => {
  const tries = events.flatMap((event): { event: AcceptedEvent; outcome: Outcome }[] =>
    event.type === 'RecoverySucceeded' || event.type === 'RecoveryFailed'
      ? [{ event, outcome: { type: event.type, data: event.data } as Outcome }]
      : [],
  )
  if (tries.length === 0) return
  await tx.client.query(
    `INSERT INTO ${tx.schema}.tries
       (tenant, incident_id, plan, time, class, fingerprint, strategy, succeeded, recovered_in_ms)
     SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::bigint[])
     ON CONFLICT DO NOTHING`,
    [
      tries.map(({ event }) => event.envelope.tenant),
      tries.map(({ event }) => idOf(event)),
      tries.map(({ outcome }) => outcome.data.plan),
      tries.map(({ event }) => timestamp(event.envelope.time)),
      tries.map(({ outcome }) => outcome.data.class),
      tries.map(({ outcome }) => outcome.data.fingerprint),
      tries.map(({ outcome }) => outcome.data.strategy),
      tries.map(({ outcome }) => outcome.type === 'RecoverySucceeded'),
      tries.map(({ outcome }) => (outcome.type === 'RecoverySucceeded' ? outcome.data.recoveredInMs : null)),
    ],
  )
}

const applyPolicy = async (event: AcceptedEvent, tx: ProjectionTx): Promise<void> => {
  const { tenant, time } = event.envelope
  const name = idOf(event)
  const { type, data } = { type: event.type, data: event.data } as RecoveryPolicyEvent
  if (type === 'RecoveryPolicyRetired') {
    await tx.client.query(
      `UPDATE ${tx.schema}.policy_heads SET retired = true, changed_at = $3 WHERE tenant = $1 AND name = $2`,
      [tenant, name, timestamp(time)],
    )
    return
  }
  await tx.client.query(
    `INSERT INTO ${tx.schema}.policies (tenant, name, version, policy, note, published_by, published_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
    [tenant, name, data.version, JSON.stringify(data.policy), data.note ?? null, data.by, timestamp(time)],
  )
  await tx.client.query(
    `INSERT INTO ${tx.schema}.policy_heads (tenant, name, version, retired, changed_at) VALUES ($1, $2, $3, false, $4)
     ON CONFLICT (tenant, name) DO UPDATE
       SET version = excluded.version, retired = false, changed_at = excluded.changed_at`,
    [tenant, name, data.version, timestamp(time)],
  )
}
