import { type ErrorCode, hashJson, type WebhookEndpointCommand, type WebhookEndpointEvent } from '@omium/schemas'
import type { Endpoint } from './endpoint.ts'

export type Decision =
  | { readonly status: 'decided'; readonly events: readonly WebhookEndpointEvent[] }
  | { readonly status: 'refused'; readonly code: ErrorCode; readonly detail: string }

/** more wait in vain: their receiver has been gone, or too slow, for long */
export const mostPending = 10_000
const mostSecrets = 5

const decided = (...events: WebhookEndpointEvent[]): Decision => ({ status: 'decided', events })
const refused = (code: ErrorCode, detail: string): Decision => ({ status: 'refused', code, detail })

/** @param known whether there has ever been an endpoint of this id */
export const decide = (
  state: Endpoint | undefined,
  command: WebhookEndpointCommand,
  { by, nowMs, known }: { readonly by: string; readonly nowMs: number; readonly known: boolean },
): Decision => {
  if (command.type === 'CreateWebhookEndpoint') {
    if (known) return refused('webhook_conflict', 'there is, or was, an endpoint of this id')
    return decided({ type: 'WebhookEndpointCreated', data: { ...command.data, by } })
  }
  if (!state) {
    // what is to be delivered to an endpoint that was removed meanwhile is nobody's fault
    if (command.type === 'DeliverWebhook') return decided()
    return refused('webhook_unknown', 'there is no such webhook endpoint')
  }
  switch (command.type) {
    case 'ChangeWebhookEndpoint': {
      const { spec } = command.data
      if (hashJson(spec) === hashJson(state.spec)) return decided()
      return decided({ type: 'WebhookEndpointChanged', data: { spec, by } })
    }
    case 'EnableWebhookEndpoint':
      return state.disabled ? decided({ type: 'WebhookEndpointEnabled', data: { by } }) : decided()
    case 'DisableWebhookEndpoint':
      if (state.disabled) return decided()
      return decided({ type: 'WebhookEndpointDisabled', data: { reason: 'requested', by } })
    case 'RotateWebhookSecret': {
      const { secretId, overlapMs } = command.data
      const signing = state.secrets.filter(({ until = Number.POSITIVE_INFINITY }) => until > nowMs)
      // one that is known to others has to go at once, however many there are
      if (signing.length >= mostSecrets && overlapMs > 0)
        return refused('webhook_conflict', `${signing.length} secrets sign already; rotate without an overlap`)
      return decided({ type: 'WebhookSecretRotated', data: { secretId, previousUntil: nowMs + overlapMs, by } })
    }
    case 'RemoveWebhookEndpoint':
      return decided({ type: 'WebhookEndpointRemoved', data: { by } })
    case 'DeliverWebhook':
      return decideDelivery(state, command.data)
    case 'ReplayWebhook': {
      if (state.disabled) return disabled
      if (state.replays.size > 0) return refused('webhook_conflict', 'another replay of this endpoint is running')
      return decided({ type: 'WebhookReplayRequested', data: { ...command.data, by } })
    }
  }
}

const disabled = refused('webhook_conflict', 'the webhook endpoint is disabled; enable it first')

type Delivery = Extract<WebhookEndpointCommand, { type: 'DeliverWebhook' }>['data']

const decideDelivery = (state: Endpoint, { message, origin }: Delivery): Decision => {
  // events that happen while it is disabled can be replayed from the log afterwards; people are told
  if (state.disabled) return origin === 'event' || origin === 'replay' ? decided() : disabled
  if (state.pending.has(message.id)) return decided()
  if (state.pending.size >= mostPending) {
    const why = `${mostPending} others wait for this endpoint`
    return decided({ type: 'WebhookDeliveryDropped', data: { message, origin, why } })
  }
  return decided({ type: 'WebhookDeliveryRequested', data: { message, origin } })
}
