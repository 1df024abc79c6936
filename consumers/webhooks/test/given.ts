import { aggregateKey, type WebhookEndpointCommand, type WebhookEndpointEvent, type WebhookSpec } from '@omium/schemas'
import { type Decision, decide } from '../src/domain/decide.ts'
import { type Endpoint, evolve } from '../src/domain/endpoint.ts'

/** What specs of endpoints share. */

export const now = 1_800_000_000_000
export const tenant = 'ten_a'
export const id = 'whk_1'
export const aggregate = aggregateKey('webhook_endpoint', tenant, id)
export const spec: WebhookSpec = {
  url: 'https://hooks.example/omium',
  types: ['execution.completed', 'execution.failed'],
}
export const created: WebhookEndpointEvent = {
  type: 'WebhookEndpointCreated',
  data: { spec, secretId: 'wsk_1', by: 'key:k' },
}
export const message = (messageId = 'msg_1', occurredAt = now) => ({
  id: messageId,
  type: 'execution.completed' as const,
  body: '{}',
  occurredAt,
})
export const deliver = (messageId = 'msg_1', origin: 'event' | 'replay' | 'redelivery' | 'test' = 'event') =>
  ({ type: 'DeliverWebhook', data: { message: message(messageId), origin } }) as const satisfies WebhookEndpointCommand
export const requested = (messageId = 'msg_1'): WebhookEndpointEvent => ({
  type: 'WebhookDeliveryRequested',
  data: { message: message(messageId), origin: 'event' },
})

/** events of one endpoint, each at its time when it is a pair */
export const given = (...events: (WebhookEndpointEvent | [number, WebhookEndpointEvent])[]) => {
  let state: Endpoint | undefined
  for (const one of events) {
    const [time, event] = Array.isArray(one) ? one : [now, one]
    state = evolve(state, event, { tenant, id, correlationId: 'cor', time })
  }
  return {
    state,
    when: (command: WebhookEndpointCommand, nowMs = now): Decision =>
      decide(state, command, { by: 'user:u', nowMs, known: events.length > 0 }),
  }
}
export const stateOf = (...events: Parameters<typeof given>): Endpoint => {
  const { state } = given(...events)
  if (!state) throw new Error('the endpoint is gone')
  return state
}
