import type { AcceptedEvent } from '@omium/log'
import type { Applier, ProjectionTx } from '@omium/projection-kit'
import {
  parseAggregateKey,
  type WebhookEndpointEvent,
  type WebhookMessage,
  type WebhookOrigin,
  type WebhookSpec,
  webhookEndpointEvents,
} from '@omium/schemas'

/** Writes accepted events of the webhook context into its read models, a statement or two for each. */
export const createApplier = (): Applier => ({
  forget: () => undefined,
  apply: async (events, tx) => {
    for (const event of events) {
      const { type, data, envelope } = event
      const key = parseAggregateKey(envelope.aggregate)
      if (!key || !(type in webhookEndpointEvents)) continue
      await applyEvent(new Place(tx, event, key.id), { type, data } as WebhookEndpointEvent)
    }
  },
})

/** One event and where it goes. */
class Place {
  readonly at: string
  readonly version: number
  readonly #position: readonly [number, number]
  readonly #key: readonly [string, string]
  readonly #tx: ProjectionTx

  constructor(tx: ProjectionTx, { envelope, partition, offset }: AcceptedEvent, id: string) {
    this.#tx = tx
    this.#key = [envelope.tenant, id]
    this.#position = [partition, offset]
    this.version = envelope.version
    this.at = time(envelope.time)
  }

  /** `@` stands for the schema; $1 is the tenant, $2 the endpoint */
  async run(sql: string, ...values: readonly unknown[]): Promise<void> {
    await this.#tx.client.query(sql.replaceAll('@', `${this.#tx.schema}.`), [...this.#key, ...values])
  }

  /** changes the endpoint's row; $3 to $5 are when and where that was recorded */
  async change(assignments: string, ...values: readonly unknown[]): Promise<void> {
    const where = 'updated_at = $3, partition = $4, log_offset = $5'
    const sql = `UPDATE @endpoints SET ${assignments}, ${where} WHERE tenant = $1 AND id = $2`
    await this.run(sql, this.at, ...this.#position, ...values)
  }

  create(spec: WebhookSpec, by: string): Promise<void> {
    return this.run(
      `INSERT INTO @endpoints (tenant, id, url, types, workflows, agents, description, created_by, created_at, updated_at,
         partition, log_offset) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11)`,
      ...columnsOf(spec),
      by,
      this.at,
      ...this.#position,
    )
  }
}

const time = (ms: number): string => new Date(ms).toISOString()
/** Postgres refuses U+0000 in text */
const text = (value: string | undefined): string | null => value?.replaceAll('\0', '\uFFFD') ?? null

const columnsOf = ({ url, types, filter, description }: WebhookSpec) => [
  url,
  types,
  filter?.workflows ?? null,
  filter?.agents ?? null,
  text(description),
]

const request = (place: Place, message: WebhookMessage, origin: WebhookOrigin, status: string, why: string | null) =>
  place.run(
    `INSERT INTO @deliveries (tenant, endpoint_id, id, type, body, occurred_at, origin, requested_at, status, attempts, why)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)
     ON CONFLICT (tenant, endpoint_id, id) DO UPDATE
       SET origin = excluded.origin, requested_at = excluded.requested_at, status = excluded.status, next_at = NULL,
           settled_at = NULL, why = excluded.why`,
    message.id,
    message.type,
    text(message.body),
    time(message.occurredAt),
    origin,
    place.at,
    status,
    why,
  )

const applyEvent = async (place: Place, { type, data }: WebhookEndpointEvent): Promise<void> => {
  switch (type) {
    case 'WebhookEndpointCreated':
      return place.create(data.spec, data.by)
    case 'WebhookEndpointChanged':
      return place.change(
        'url = $6, types = $7, workflows = $8, agents = $9, description = $10',
        ...columnsOf(data.spec),
      )
    case 'WebhookEndpointEnabled':
      return place.change('disabled_reason = NULL, disabled_detail = NULL, failing_since = NULL')
    case 'WebhookEndpointDisabled':
      await place.change('disabled_reason = $6, disabled_detail = $7', data.reason, text(data.detail))
      await place.run(
        `UPDATE @deliveries SET status = 'dead', next_at = NULL, settled_at = $3, why = 'the endpoint was disabled'
         WHERE tenant = $1 AND endpoint_id = $2 AND status = 'pending'`,
        place.at,
      )
      return place.run(
        `UPDATE @replays SET status = 'stopped', finished_at = $3
         WHERE tenant = $1 AND endpoint_id = $2 AND status = 'running'`,
        place.at,
      )
    case 'WebhookSecretRotated':
      return place.change('previous_until = $6', time(data.previousUntil))
    case 'WebhookEndpointRemoved':
      for (const table of ['attempts', 'deliveries', 'replays'])
        await place.run(`DELETE FROM @${table} WHERE tenant = $1 AND endpoint_id = $2`)
      return place.run('DELETE FROM @endpoints WHERE tenant = $1 AND id = $2')
    case 'WebhookDeliveryRequested':
      return request(place, data.message, data.origin, 'pending', null)
    case 'WebhookDeliveryDropped':
      return request(place, data.message, data.origin, 'dead', text(data.why))
    case 'WebhookDeliveryAttempted': {
      const { messageId, at, tookMs, status, answer, error, result, nextAt } = data
      await place.run(
        `INSERT INTO @attempts (tenant, endpoint_id, delivery_id, version, at, took_ms, status, answer, error, result)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
        messageId,
        place.version,
        time(at),
        tookMs,
        status ?? null,
        text(answer),
        text(error),
        result,
      )
      await place.run(
        `UPDATE @deliveries SET status = $4, attempts = attempts + 1, next_at = $5, settled_at = $6, last_status = $7, why = $8
         WHERE tenant = $1 AND endpoint_id = $2 AND id = $3`,
        messageId,
        result === 'retrying' ? 'pending' : result,
        nextAt === undefined ? null : time(nextAt),
        result === 'retrying' ? null : place.at,
        status ?? null,
        result === 'delivered' ? null : (text(error) ?? `it answered ${status}`),
      )
      const ofEndpoint = 'WHERE tenant = $1 AND id = $2'
      if (result === 'delivered')
        return place.run(`UPDATE @endpoints SET failing_since = NULL ${ofEndpoint} AND failing_since IS NOT NULL`)
      return place.run(`UPDATE @endpoints SET failing_since = $3 ${ofEndpoint} AND failing_since IS NULL`, time(at))
    }
    case 'WebhookReplayRequested': {
      const { replayId, range, by } = data
      return place.run(
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
      return place.run(
        `UPDATE @replays SET status = 'finished', found = $4, finished_at = $5
         WHERE tenant = $1 AND endpoint_id = $2 AND id = $3`,
        data.replayId,
        data.found,
        place.at,
      )
  }
}
