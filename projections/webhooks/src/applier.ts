import { type Applier, applyEach, type Place } from '@omium/projection-kit'
import {
  type WebhookEndpointEvent,
  type WebhookMessage,
  type WebhookOrigin,
  type WebhookSpec,
  webhookEndpointEvents,
} from '@omium/schemas'

/** Writes accepted events of the webhook context into its read models, a statement or two for each. */
export const createApplier = (): Applier =>
  applyEach(async (place, { type, data }) => {
    if (type in webhookEndpointEvents) await applyEvent(place, { type, data } as WebhookEndpointEvent)
  })

const time = (ms: number): string => new Date(ms).toISOString()

/** changes the row of the endpoint; $1 and $2 are its key, $3 to $5 when and where that was recorded */
const change = (place: Place, assignments: string, ...values: readonly unknown[]): Promise<void> =>
  place.run(
    `UPDATE @endpoints SET ${assignments}, updated_at = $3, partition = $4, log_offset = $5 WHERE tenant = $1 AND id = $2`,
    place.tenant,
    place.id,
    place.at,
    place.partition,
    place.offset,
    ...values,
  )

/** $1 and $2 are the endpoint's key */
const run = (place: Place, sql: string, ...values: readonly unknown[]): Promise<void> =>
  place.run(sql, place.tenant, place.id, ...values)

const columnsOf = ({ url, types, filter, description }: WebhookSpec) => [
  url,
  types,
  filter?.workflows ?? null,
  filter?.agents ?? null,
  description ?? null,
]

const request = (place: Place, message: WebhookMessage, origin: WebhookOrigin, status: string, why: string | null) =>
  run(
    place,
    `INSERT INTO @deliveries (tenant, endpoint_id, id, type, body, occurred_at, origin, requested_at, status, attempts, why)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)
     ON CONFLICT (tenant, endpoint_id, id) DO UPDATE
       SET origin = excluded.origin, requested_at = excluded.requested_at, status = excluded.status, next_at = NULL,
           settled_at = NULL, why = excluded.why`,
    message.id,
    message.type,
    message.body,
    time(message.occurredAt),
    origin,
    place.at,
    status,
    why,
  )

const applyEvent = async (place: Place, { type, data }: WebhookEndpointEvent): Promise<void> => {
  switch (type) {
    case 'WebhookEndpointCreated':
      return run(
        place,
        `INSERT INTO @endpoints (tenant, id, url, types, workflows, agents, description, created_by, created_at, updated_at,
           partition, log_offset) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11)`,
        ...columnsOf(data.spec),
        data.by,
        place.at,
        place.partition,
        place.offset,
      )
    case 'WebhookEndpointChanged':
      return change(
        place,
        'url = $6, types = $7, workflows = $8, agents = $9, description = $10',
        ...columnsOf(data.spec),
      )
    case 'WebhookEndpointEnabled':
      return change(place, 'disabled_reason = NULL, disabled_detail = NULL, failing_since = NULL')
    case 'WebhookEndpointDisabled':
      await change(place, 'disabled_reason = $6, disabled_detail = $7', data.reason, data.detail ?? null)
      await run(
        place,
        `UPDATE @deliveries SET status = 'dead', next_at = NULL, settled_at = $3, why = 'the endpoint was disabled'
         WHERE tenant = $1 AND endpoint_id = $2 AND status = 'pending'`,
        place.at,
      )
      return run(
        place,
        `UPDATE @replays SET status = 'stopped', finished_at = $3
         WHERE tenant = $1 AND endpoint_id = $2 AND status = 'running'`,
        place.at,
      )
    case 'WebhookSecretRotated':
      return change(place, 'previous_until = $6', time(data.previousUntil))
    case 'WebhookEndpointRemoved':
      for (const table of ['attempts', 'deliveries', 'replays'])
        await run(place, `DELETE FROM @${table} WHERE tenant = $1 AND endpoint_id = $2`)
      return run(place, 'DELETE FROM @endpoints WHERE tenant = $1 AND id = $2')
    case 'WebhookDeliveryRequested':
      return request(place, data.message, data.origin, 'pending', null)
    case 'WebhookDeliveryDropped':
      return request(place, data.message, data.origin, 'dead', data.why)
    case 'WebhookDeliveryAttempted': {
      const { messageId, at, tookMs, status, answer, error, result, nextAt } = data
      await run(
        place,
        `INSERT INTO @attempts (tenant, endpoint_id, delivery_id, version, at, took_ms, status, answer, error, result)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
        messageId,
        place.version,
        time(at),
        tookMs,
        status ?? null,
        answer ?? null,
        error ?? null,
        result,
      )
      await run(
        place,
        `UPDATE @deliveries SET status = $4, attempts = attempts + 1, next_at = $5, settled_at = $6, last_status = $7, why = $8
         WHERE tenant = $1 AND endpoint_id = $2 AND id = $3`,
        messageId,
        result === 'retrying' ? 'pending' : result,
        nextAt === undefined ? null : time(nextAt),
        result === 'retrying' ? null : place.at,
        status ?? null,
        result === 'delivered' ? null : (error ?? `it answered ${status}`),
      )
      const ofEndpoint = 'WHERE tenant = $1 AND id = $2'
      if (result === 'delivered')
        return run(place, `UPDATE @endpoints SET failing_since = NULL ${ofEndpoint} AND failing_since IS NOT NULL`)
      return run(place, `UPDATE @endpoints SET failing_since = $3 ${ofEndpoint} AND failing_since IS NULL`, time(at))
    }
    case 'WebhookDeliveriesForgotten': {
      // one that was dropped ended when it was asked for
      const ended = `tenant = $1 AND endpoint_id = $2 AND status <> 'pending' AND requested_at < $3
        AND coalesce(settled_at, requested_at) < $3`
      const before = time(data.before)
      await run(
        place,
        `DELETE FROM @attempts WHERE tenant = $1 AND endpoint_id = $2
           AND delivery_id IN (SELECT id FROM @deliveries WHERE ${ended})`,
        before,
      )
      await run(place, `DELETE FROM @deliveries WHERE ${ended}`, before)
      return run(
        place,
        `DELETE FROM @replays WHERE tenant = $1 AND endpoint_id = $2 AND status <> 'running' AND finished_at < $3`,
        before,
      )
    }
    case 'WebhookReplayRequested': {
      const { replayId, range, by } = data
      return run(
        place,
        `INSERT INTO @replays (tenant, endpoint_id, id, from_at, to_at, types, status, requested_by, requested_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'running', $7, $8)`,
        replayId,
        time(range.from),
        time(range.to),
        range.types ?? null,
        by,
        place.at,
      )
    }
    case 'WebhookReplayFinished':
      return run(
        place,
        `UPDATE @replays SET status = 'finished', found = $4, finished_at = $5
         WHERE tenant = $1 AND endpoint_id = $2 AND id = $3`,
        data.replayId,
        data.found,
        place.at,
      )
  }
}
