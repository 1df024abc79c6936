import { type IncidentEvent, type RecoveryPolicyEvent, recoveryPolicy } from '@omium/schemas'

/** Events of an incident as the orchestrator writes them. */
export const failedAt = 1_700_000_000_000

export const opened = (
  executionId: string,
  detail = 'the shop is closed',
  fingerprint = 'f'.repeat(16),
): IncidentEvent => {
  const link = { executionId, agentId: 'buyer', code: 'step_failed', detail }
  return {
    type: 'IncidentOpened',
    data: {
      class: 'tool_error',
      classifiedBy: 'a step of kind tool',
      fingerprint,
      rootCause: link,
      facts: {
        executionId,
        agentId: 'buyer',
        policy: 'mine',
        awaiting: 1,
        at: failedAt,
        giveUpAt: failedAt + 86_400_000,
        error: { code: 'step_failed', detail, retryable: true },
        step: { path: 'buy#1', name: 'buy', kind: 'tool' },
        chain: [link],
        lostAttempts: 0,
        stepsCompleted: 1,
        goodPaths: ['look#1'],
        costMicroCredits: 5,
        recoveries: 0,
        effects: [],
        effectsMade: 0,
        version: 5,
      },
    },
  }
}

export const planned = (plan = 1, strategy: 'retry' | 'ask_person' = 'retry'): IncidentEvent => ({
  type: 'RecoveryPlanned',
  data: {
    plan,
    awaiting: plan,
    strategy,
    action:
      strategy === 'retry'
        ? { type: 'retry', delayMs: 0, avoidWorker: false }
        : { type: 'hold', untilMs: failedAt + 1000 },
    why: `plan ${plan}`,
    attempt: 1,
    of: 3,
    costMicroCredits: 7,
    alternatives: [{ strategy: 'give_up', why: 'later' }],
    policy: { name: 'mine', version: 2 },
    by: 'system',
  },
})
export const escalated = (plan = 1): IncidentEvent => ({
  type: 'EscalatedToPerson',
  data: { plan, question: 'and now?', untilMs: failedAt + 1000 },
})
export const applied = (plan = 1): IncidentEvent => ({
  type: 'RecoveryApplied',
  data: { plan, action: { type: 'retry', delayMs: 0, avoidWorker: false }, by: 'system', at: failedAt + 10 },
})
const tried = { strategy: 'retry', class: 'tool_error', fingerprint: 'f'.repeat(16) } as const
export const failed = (plan = 1): IncidentEvent => ({ type: 'RecoveryFailed', data: { ...tried, plan, why: 'again' } })
export const succeeded = (plan = 1, recoveredInMs = 100): IncidentEvent => ({
  type: 'RecoverySucceeded',
  data: { ...tried, plan, how: 'progress', path: 'buy#1', recoveredInMs, attempts: plan, costMicroCredits: 9 },
})
export const givenUp: IncidentEvent = { type: 'GivenUp', data: { why: 'hopeless', by: 'system', at: failedAt } }

export const published = (version: number): RecoveryPolicyEvent => ({
  type: 'RecoveryPolicyPublished',
  data: { version, policy: recoveryPolicy.parse({ models: [`model-${version}`] }), by: 'key:spec' },
})
