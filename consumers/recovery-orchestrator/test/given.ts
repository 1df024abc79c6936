import {
  type FailureFacts,
  type IncidentCommand,
  type IncidentEvent,
  type RecoveryPolicy,
  recoveryPolicy,
} from '@omium/schemas'
import { type Decision, decideIncidentCommand, type Knowledge } from '../src/domain/decide.ts'
import { evolveIncident, type IncidentState } from '../src/domain/incident.ts'
import type { Observed } from '../src/domain/plan.ts'

/** given(events).when(command).then(events) for incidents. */

export const tenant = 'ten_spec'
export const now = 1_000_000
export const runId = 'run-1'
export const incident = `${runId}.1`

export const facts = (more: Partial<FailureFacts> = {}): FailureFacts => {
  const error = more.error ?? { code: 'model_overloaded', detail: 'the provider is overloaded', retryable: true }
  return {
    executionId: runId,
    agentId: 'writer',
    policy: 'default',
    awaiting: 1,
    version: 9,
    attempt: 1,
    at: now - 50,
    giveUpAt: now + 86_400_000,
    error,
    step: { path: 'draft#1', name: 'draft', kind: 'llm' },
    chain: [
      {
        executionId: runId,
        agentId: 'writer',
        path: 'draft#1',
        code: error.code,
        detail: error.detail,
        ...(error.cause && { name: error.cause.name }),
      },
    ],
    lostAttempts: 0,
    stepsCompleted: 2,
    goodPaths: ['read#1', 'plan#1'],
    costMicroCredits: 100,
    recoveries: 0,
    effects: [],
    effectsMade: more.effects?.length ?? 0,
    ...more,
  }
}

export const policyOf = (policy: Partial<RecoveryPolicy> | object): RecoveryPolicy => recoveryPolicy.parse(policy)

export const knowing = (
  policy?: RecoveryPolicy,
  observed: (strategy: string) => Observed | null = () => null,
): Knowledge => ({
  nowMs: now,
  policy: (_tenant, name) => ({
    ref: { name, version: policy ? 3 : 0 },
    policy: policy ?? policyOf({}),
  }),
  observed: (_tenant, _failure, strategy) => observed(strategy),
})

export const given = (...history: IncidentEvent[]) => {
  let state: IncidentState | undefined
  for (const event of history) {
    state = evolveIncident(state, event, { tenant, id: incident, correlationId: 'c', time: now })
  }
  return {
    state,
    when: (command: IncidentCommand, { knowledge = knowing(), by = 'system' } = {}): Decision =>
      decideIncidentCommand(state, command, { tenant, id: incident, by }, knowledge),
  }
}

/** The events of a decision that was made. */
export const eventsOf = (decision: Decision): readonly IncidentEvent[] => {
  if (decision.status === 'refused') throw new Error(`refused: ${decision.code}: ${decision.detail}`)
  return decision.events
}
export const typesOf = (decision: Decision): string[] => eventsOf(decision).map(({ type }) => type)

export const planIn = (decision: Decision) => {
  const event = eventsOf(decision).find(({ type }) => type === 'RecoveryPlanned')
  if (event?.type !== 'RecoveryPlanned') throw new Error('nothing was planned')
  return event.data
}
