import type { AcceptedEvent, StateMachine } from '@omium/log'
import { type IncidentEvent, parseAggregateKey, type RecoveryPolicyEvent } from '@omium/schemas'
import { evolveIncident, type IncidentState } from './domain/incident.ts'
import { evolvePolicy, type PolicyState } from './domain/policy.ts'

/** The live state of one partition of the recovery context, by aggregate key. Incidents leave it when they close. */
export interface PartitionState {
  readonly incidents: Map<string, IncidentState>
  readonly policies: Map<string, PolicyState>
}

interface Encoded {
  readonly incidents: [string, IncidentState][]
  readonly policies: [string, PolicyState][]
}

const applyIncident = (state: PartitionState, { envelope, type, data }: AcceptedEvent): void => {
  const { aggregate, tenant, correlationId, time } = envelope
  const id = parseAggregateKey(aggregate)?.id ?? ''
  const identity = { tenant, id, correlationId, time }
  const after = evolveIncident(state.incidents.get(aggregate), { type, data } as IncidentEvent, identity)
  if (envelope.closes === true) state.incidents.delete(aggregate)
  else state.incidents.set(aggregate, after)
}

export const recoveryMachine: StateMachine<PartitionState> = {
  version: 3,
  empty: () => ({ incidents: new Map(), policies: new Map() }),

  apply(state, event) {
    const { aggregate } = event.envelope
    if (aggregate.startsWith('incident:')) applyIncident(state, event)
    else if (aggregate.startsWith('policy:')) {
      const policyEvent = { type: event.type, data: event.data } as RecoveryPolicyEvent
      state.policies.set(aggregate, evolvePolicy(state.policies.get(aggregate), policyEvent))
    }
  },

  encode: (state): Encoded => ({ incidents: [...state.incidents], policies: [...state.policies] }),

  decode(encoded) {
    const { incidents, policies } = encoded as Encoded
    return { incidents: new Map(incidents), policies: new Map(policies) }
  },
}
