import { type AcceptedEvent, acceptanceWindows, type StateMachine } from '@omium/log'
import type { AgentEvent, ExecutionEvent, PermitEvent } from '@omium/schemas'
import { parseAggregateKey } from '@omium/schemas'
import { type AgentState, evolveAgent } from './domain/agent.ts'
import { evolve } from './domain/evolve.ts'
import type { ExecutionState } from './domain/execution.ts'
import { evolvePermits, type PermitPool } from './domain/permits.ts'
import {
  decodeExecution,
  decodePool,
  type EncodedExecution,
  type EncodedPool,
  encodeExecution,
  encodePool,
} from './domain/snapshot.ts'

/**
 * The live state of one partition of the execution context, by aggregate key. Executions leave it with the event that
 * closes them; `closed` remembers the request hashes of the latest of them, so that a late repetition of their start is
 * recognised.
 */
export interface PartitionState {
  readonly executions: Map<string, ExecutionState>
  readonly agents: Map<string, AgentState>
  readonly pools: Map<string, PermitPool>
  /** oldest first */
  readonly closed: Map<string, string>
}

/** as long as the log remembers that a closed execution existed: a repeated start must not be taken for another one */
const rememberedClosed = acceptanceWindows.closedAggregates

interface Encoded {
  readonly executions: [string, EncodedExecution][]
  readonly agents: [string, AgentState][]
  readonly pools: [string, EncodedPool][]
  readonly closed: [string, string][]
}

const applyExecution = (state: PartitionState, { envelope, type, data }: AcceptedEvent): void => {
  const { aggregate, tenant, correlationId, time } = envelope
  const before = state.executions.get(aggregate)
  const after = evolve(before, { type, data } as ExecutionEvent, { tenant, correlationId, time })
  if (envelope.closes !== true) {
    if (!before) state.executions.set(aggregate, after)
    return
  }
  state.executions.delete(aggregate)
  state.closed.set(aggregate, after.requestHash)
  if (state.closed.size > rememberedClosed) {
    const oldest = state.closed.keys().next().value
    if (oldest !== undefined) state.closed.delete(oldest)
  }
}

export const executionMachine: StateMachine<PartitionState> = {
  version: 3,
  empty: () => ({ executions: new Map(), agents: new Map(), pools: new Map(), closed: new Map() }),

  apply(state, event) {
    const { aggregate, tenant, correlationId } = event.envelope
    if (aggregate.startsWith('execution:')) applyExecution(state, event)
    else if (aggregate.startsWith('permits:')) {
      const key = parseAggregateKey(aggregate)?.id ?? ''
      const permitEvent = { type: event.type, data: event.data } as PermitEvent
      const pool = evolvePermits(state.pools.get(aggregate), permitEvent, { tenant, key, correlationId })
      state.pools.set(aggregate, pool)
    } else if (aggregate.startsWith('agent:')) {
      state.agents.set(aggregate, evolveAgent({ type: event.type, data: event.data } as AgentEvent))
    }
  },

  encode: (state): Encoded => ({
    executions: [...state.executions].map(([key, execution]) => [key, encodeExecution(execution)]),
    agents: [...state.agents],
    pools: [...state.pools].map(([key, pool]) => [key, encodePool(pool)]),
    closed: [...state.closed],
  }),

  decode(encoded) {
    const { executions, agents, pools, closed } = encoded as Encoded
    return {
      executions: new Map(executions.map(([key, execution]) => [key, decodeExecution(execution)])),
      agents: new Map(agents),
      pools: new Map(pools.map(([key, pool]) => [key, decodePool(pool)])),
      closed: new Map(closed),
    }
  },
}
