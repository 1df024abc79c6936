import type {
  CauseLink,
  Failure,
  FailureClass,
  FailureFacts,
  IncidentAction,
  IncidentEvent,
  IncidentStatus,
  RecoveryStrategy,
} from '@omium/schemas'

/**
 * One incident as lists and details show it: the fold of its events. Its status follows the orchestrator's.
 */
export interface IncidentRow {
  readonly tenant: string
  readonly id: string
  readonly executionId: string
  readonly agent: string
  readonly status: IncidentStatus
  readonly class: FailureClass | null
  readonly classifiedBy: string | null
  readonly fingerprint: string | null
  readonly rootCause: CauseLink | null
  readonly chain: readonly CauseLink[] | null
  readonly error: Failure | null
  readonly step: FailureFacts['step'] | null
  readonly plan: number
  readonly strategy: RecoveryStrategy | null
  readonly action: IncidentAction | null
  readonly why: string | null
  readonly policy: string | null
  readonly policyVersion: number | null
  readonly attempts: number
  readonly costMicroCredits: number
  readonly until: number | null
  readonly openedAt: number
  readonly updatedAt: number
  readonly closedAt: number | null
  readonly recoveredInMs: number | null
  readonly version: number
  readonly partition: number
  readonly offset: number
}

export interface EventPlace {
  readonly tenant: string
  readonly id: string
  readonly version: number
  readonly time: number
  readonly partition: number
  readonly offset: number
}

const fresh = (place: EventPlace, executionId: string, agent: string, openedAt: number): IncidentRow => ({
  tenant: place.tenant,
  id: place.id,
  executionId,
  agent,
  status: 'planned',
  class: null,
  classifiedBy: null,
  fingerprint: null,
  rootCause: null,
  chain: null,
  error: null,
  step: null,
  plan: 0,
  strategy: null,
  action: null,
  why: null,
  policy: null,
  policyVersion: null,
  attempts: 0,
  costMicroCredits: 0,
  until: null,
  openedAt,
  updatedAt: place.time,
  closedAt: null,
  recoveredInMs: null,
  version: place.version,
  partition: place.partition,
  offset: place.offset,
})

const diagnosed = (
  row: IncidentRow,
  data: Extract<IncidentEvent, { type: 'IncidentOpened' }>['data'],
): IncidentRow => ({
  ...row,
  status: 'planned',
  class: data.class,
  classifiedBy: data.classifiedBy,
  fingerprint: data.fingerprint,
  rootCause: data.rootCause,
  chain: data.facts.chain,
  error: data.facts.error,
  step: data.facts.step ?? null,
})

/** @throws RangeError for an event that comes before the incident was opened */
export const evolve = (row: IncidentRow | undefined, event: IncidentEvent, place: EventPlace): IncidentRow => {
  const { version, partition, offset, time: updatedAt } = place
  return { ...apply(row, event, place), version, partition, offset, updatedAt }
}

const apply = (row: IncidentRow | undefined, event: IncidentEvent, place: EventPlace): IncidentRow => {
  if (event.type === 'InterventionDecided') {
    const { executionId, agentId, error, why } = event.data
    const next = row ?? fresh(place, executionId, agentId, place.time)
    return { ...next, status: 'intervening', error: row?.error ?? error, why }
  }
  if (event.type === 'IncidentOpened') {
    const { facts } = event.data
    return diagnosed(
      { ...(row ?? fresh(place, facts.executionId, facts.agentId, facts.at)), openedAt: facts.at },
      event.data,
    )
  }
  if (!row) throw new RangeError(`${event.type} came before the incident was opened`)
  switch (event.type) {
    case 'InterventionRefused':
      return { ...row, status: row.fingerprint === null ? row.status : 'recovering', why: event.data.why }
    case 'FailureRecurred':
      return diagnosed(row, event.data)
    case 'RecoveryPlanned': {
      const { plan, strategy, action, why, policy, costMicroCredits } = event.data
      return {
        ...row,
        status: 'planned',
        plan,
        strategy,
        action,
        why,
        policy: policy.name,
        policyVersion: policy.version,
        attempts: row.attempts + 1,
        costMicroCredits,
        until: null,
      }
    }
    case 'EscalatedToPerson':
      return { ...row, status: 'escalated', until: event.data.untilMs }
    case 'CompensationStarted':
      return { ...row, status: 'compensating' }
    case 'CompensationFinished':
      return { ...row, status: event.data.status === 'completed' ? 'planned' : row.status }
    case 'RecoveryApplied':
      return event.data.action.type === 'hold' ? row : { ...row, status: 'recovering', until: null }
    case 'RecoverySucceeded': {
      const { recoveredInMs, costMicroCredits } = event.data
      return { ...row, status: 'succeeded', recoveredInMs, costMicroCredits, closedAt: place.time, until: null }
    }
    case 'GivenUp':
      return { ...row, status: 'given_up', why: event.data.why, closedAt: place.time, until: null }
    case 'IncidentDismissed':
      return { ...row, status: 'dismissed', why: event.data.why, closedAt: place.time, until: null }
    case 'DecidedByPerson':
    case 'RecoveryFailed':
      return row
  }
}
