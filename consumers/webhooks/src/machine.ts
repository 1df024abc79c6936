import type { StateMachine } from '@omium/log'
import { parseAggregateKey, type WebhookEndpointEvent, type WebhookReplayRange } from '@omium/schemas'
import { type Endpoint, evolve, type Pending } from './domain/endpoint.ts'

/** The live state of one partition of the webhook context, by aggregate key. Endpoints leave it when they are removed. */
export interface PartitionState {
  readonly endpoints: Map<string, Endpoint>
}

interface Encoded {
  readonly endpoints: readonly [
    string,
    Omit<Endpoint, 'pending' | 'replays'> & {
      readonly pending: readonly [string, Pending][]
      readonly replays: readonly [string, WebhookReplayRange][]
    },
  ][]
}

export const webhookMachine: StateMachine<PartitionState> = {
  version: 2,
  empty: () => ({ endpoints: new Map() }),

  apply({ endpoints }, { envelope, type, data }) {
    const { aggregate, tenant, correlationId, time } = envelope
    const key = parseAggregateKey(aggregate)
    if (key?.type !== 'webhook_endpoint') return
    const identity = { tenant, id: key.id, correlationId, time }
    const after = evolve(endpoints.get(aggregate), { type, data } as WebhookEndpointEvent, identity)
    if (after) endpoints.set(aggregate, after)
    else endpoints.delete(aggregate)
  },

  encode: ({ endpoints }): Encoded => ({
    endpoints: [...endpoints].map(([key, { pending, replays, ...rest }]) => [
      key,
      { ...rest, pending: [...pending], replays: [...replays] },
    ]),
  }),

  decode(encoded) {
    const { endpoints } = encoded as Encoded
    return {
      endpoints: new Map(
        endpoints.map(([key, { pending, replays, disabled, failingSince, ended, ...rest }]) => [
          key,
          { ...rest, disabled, failingSince, ended, pending: new Map(pending), replays: new Map(replays) },
        ]),
      ),
    }
  },
}
