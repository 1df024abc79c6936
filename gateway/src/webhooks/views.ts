import type { AttemptRecord, DeliveryRecord, EndpointRecord, ReplayRecord } from '@omium/projection-webhooks'
import type { WebhookDeliveryDetail, WebhookDeliveryView, WebhookReplayView, WebhookView } from '@omium/schemas'

/** Rows of the webhook read models as the API shows them. */

export const endpointViewOf = (record: EndpointRecord): WebhookView => {
  const { workflows, agents, disabledReason: reason, disabledDetail: detail } = record
  return {
    id: record.id,
    url: record.url,
    types: record.types,
    ...((workflows ?? agents) && { filter: { ...(workflows && { workflows }), ...(agents && { agents }) } }),
    ...(record.description !== null && { description: record.description }),
    status: reason === null ? 'enabled' : 'disabled',
    ...(reason !== null && { disabled: { reason, ...(detail !== null && { detail }) } }),
    ...(record.failingSince && { failingSince: record.failingSince.toISOString() }),
    ...(record.previousUntil && { previousSecretUntil: record.previousUntil.toISOString() }),
    createdBy: record.createdBy,
    createdAt: record.createdAt.toISOString(),
    updatedAt: record.updatedAt.toISOString(),
    position: `${record.partition}:${record.offset}`,
  }
}

export const deliveryViewOf = (record: DeliveryRecord): WebhookDeliveryView => ({
  id: record.id,
  type: record.type,
  origin: record.origin,
  status: record.status,
  attempts: record.attempts,
  occurredAt: record.occurredAt.toISOString(),
  requestedAt: record.requestedAt.toISOString(),
  ...(record.nextAt && { nextAt: record.nextAt.toISOString() }),
  ...(record.settledAt && { settledAt: record.settledAt.toISOString() }),
  ...(record.lastStatus !== null && { lastStatus: record.lastStatus }),
  ...(record.why !== null && { why: record.why }),
})

export const attemptViewOf = ({
  at,
  tookMs,
  status,
  answer,
  error,
  result,
}: AttemptRecord): WebhookDeliveryDetail['history'][number] => ({
  at: at.toISOString(),
  tookMs,
  ...(status !== null && { status }),
  ...(answer !== null && { answer }),
  ...(error !== null && { error }),
  result,
})

export const replayViewOf = (record: ReplayRecord): WebhookReplayView => ({
  id: record.id,
  from: record.from.toISOString(),
  to: record.to.toISOString(),
  ...(record.types && { types: record.types }),
  status: record.status,
  ...(record.found !== null && { found: record.found }),
  requestedBy: record.requestedBy,
  requestedAt: record.requestedAt.toISOString(),
  ...(record.finishedAt && { finishedAt: record.finishedAt.toISOString() }),
})
