import { byTime, type Page, type Paging, type Reads } from '@omium/projection-kit'
import type { WebhookDisabledReason, WebhookEventType, WebhookMessageType } from '@omium/schemas'

/**
 * Everything that is read from the webhook read models. Every function takes the tenant first and every statement has it in its
 * WHERE clause: another tenant's rows are as if they did not exist.
 */

export interface EndpointRecord {
  readonly id: string
  readonly url: string
  readonly types: WebhookEventType[]
  readonly workflows: string[] | null
  readonly agents: string[] | null
  readonly description: string | null
  /** null: enabled */
  readonly disabledReason: WebhookDisabledReason | null
  readonly disabledDetail: string | null
  readonly previousUntil: Date | null
  readonly failingSince: Date | null
  readonly createdBy: string
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly partition: number
  readonly offset: number
}

const endpointColumns = `id, url, types, workflows, agents, description, disabled_reason AS "disabledReason",
  disabled_detail AS "disabledDetail", previous_until AS "previousUntil", failing_since AS "failingSince",
  created_by AS "createdBy", created_at AS "createdAt", updated_at AS "updatedAt", partition, log_offset AS "offset"`

export const getEndpoint = async (reads: Reads, tenant: string, id: string): Promise<EndpointRecord | undefined> => {
  const { rows } = await reads.query<EndpointRecord>(
    { tenant },
    `SELECT ${endpointColumns} FROM webhooks.endpoints WHERE tenant = $1 AND id = $2`,
    [tenant, id],
  )
  return rows[0]
}

/** Newest first. @throws OmiumError `invalid_request` for a cursor that this list never gave */
export const listEndpoints = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: Paging,
): Promise<Page<EndpointRecord>> => {
  const [at, id] = byTime.after(cursor) ?? [null, null]
  const { rows } = await reads.query<EndpointRecord>(
    { tenant },
    `SELECT ${endpointColumns} FROM webhooks.endpoints
     WHERE tenant = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
     ORDER BY created_at DESC, id DESC LIMIT $4`,
    [tenant, at, id, limit + 1],
  )
  return byTime.page(rows, limit, ({ createdAt, id }) => [createdAt, id])
}

export type DeliveryStatus = 'pending' | 'delivered' | 'dead'

export interface DeliveryRecord {
  readonly id: string
  readonly type: WebhookMessageType
  readonly body: string
  readonly occurredAt: Date
  readonly origin: 'event' | 'replay' | 'redelivery' | 'test'
  readonly requestedAt: Date
  readonly status: DeliveryStatus
  readonly attempts: number
  readonly nextAt: Date | null
  readonly settledAt: Date | null
  readonly lastStatus: number | null
  readonly why: string | null
}

const deliveryColumns = `id, type, body, occurred_at AS "occurredAt", origin, requested_at AS "requestedAt", status, attempts,
  next_at AS "nextAt", settled_at AS "settledAt", last_status AS "lastStatus", why`

export interface DeliveryFilter extends Paging {
  readonly status?: DeliveryStatus | undefined
}

/** Those asked for last come first. @throws OmiumError `invalid_request` for a cursor that this list never gave */
export const listDeliveries = async (
  reads: Reads,
  tenant: string,
  endpointId: string,
  { status, limit, cursor }: DeliveryFilter,
): Promise<Page<DeliveryRecord>> => {
  const [at, id] = byTime.after(cursor) ?? [null, null]
  const { rows } = await reads.query<DeliveryRecord>(
    { tenant },
    `SELECT ${deliveryColumns} FROM webhooks.deliveries
     WHERE tenant = $1 AND endpoint_id = $2 AND ($3::text IS NULL OR status = $3)
       AND ($4::timestamptz IS NULL OR (requested_at, id) < ($4, $5))
     ORDER BY requested_at DESC, id DESC LIMIT $6`,
    [tenant, endpointId, status ?? null, at, id, limit + 1],
  )
  return byTime.page(rows, limit, ({ requestedAt, id }) => [requestedAt, id])
}

export const getDelivery = async (
  reads: Reads,
  tenant: string,
  endpointId: string,
  id: string,
): Promise<DeliveryRecord | undefined> => {
  const { rows } = await reads.query<DeliveryRecord>(
    { tenant },
    `SELECT ${deliveryColumns} FROM webhooks.deliveries WHERE tenant = $1 AND endpoint_id = $2 AND id = $3`,
    [tenant, endpointId, id],
  )
  return rows[0]
}

export interface AttemptRecord {
  readonly at: Date
  readonly tookMs: number
  readonly status: number | null
  readonly answer: string | null
  readonly error: string | null
  readonly result: 'delivered' | 'retrying' | 'dead'
}

const mostAttempts = 500

/** The latest ones of a delivery, oldest first. */
export const deliveryAttempts = async (
  reads: Reads,
  tenant: string,
  endpointId: string,
  id: string,
): Promise<readonly AttemptRecord[]> => {
  const { rows } = await reads.query<AttemptRecord>(
    { tenant },
    `SELECT at, took_ms AS "tookMs", status, answer, error, result FROM webhooks.attempts
     WHERE tenant = $1 AND endpoint_id = $2 AND delivery_id = $3 ORDER BY version DESC LIMIT $4`,
    [tenant, endpointId, id, mostAttempts],
  )
  return rows.reverse()
}

export interface ReplayRecord {
  readonly id: string
  readonly from: Date
  readonly to: Date
  readonly types: WebhookEventType[] | null
  readonly status: 'running' | 'finished' | 'stopped'
  readonly found: number | null
  readonly requestedBy: string
  readonly requestedAt: Date
  readonly finishedAt: Date | null
}

/** Those asked for last come first. @throws OmiumError `invalid_request` for a cursor that this list never gave */
export const listReplays = async (
  reads: Reads,
  tenant: string,
  endpointId: string,
  { limit, cursor }: Paging,
): Promise<Page<ReplayRecord>> => {
  const [at, id] = byTime.after(cursor) ?? [null, null]
  const { rows } = await reads.query<ReplayRecord>(
    { tenant },
    `SELECT id, from_at AS "from", to_at AS "to", types, status, found, requested_by AS "requestedBy",
            requested_at AS "requestedAt", finished_at AS "finishedAt"
     FROM webhooks.replays WHERE tenant = $1 AND endpoint_id = $2
       AND ($3::timestamptz IS NULL OR (requested_at, id) < ($3, $4))
     ORDER BY requested_at DESC, id DESC LIMIT $5`,
    [tenant, endpointId, at, id, limit + 1],
  )
  return byTime.page(rows, limit, ({ requestedAt, id }) => [requestedAt, id])
}
