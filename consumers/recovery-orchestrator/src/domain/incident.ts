import type {
  FailureClass,
  FailureFacts,
  IncidentAction,
  IncidentEvent,
  IncidentStatus,
  PolicyRef,
  RecoveryStrategy,
} from '@omium/schemas'
import { nextPage, without } from './effects.ts'
import { pointBeforeEffects, type Tried } from './plan.ts'

/**
 * One incident: a failure of a run, from its first sight until it is overcome or given up. The fold of its events.
 *
 * 1. A run has at most one open incident; a failure that comes before the run got past the first one belongs to it.
 * 2. `plan` is set from the first plan on; its number counts up and makes the ids of the commands that carry it out.
 * 3. What the incident owes to the execution context follows from its status and its plan alone, see outbox.ts.
 * 4. `facts` tell of the effects that still stand: what a compensation has undone leaves them at once, and is not undone again.
 */
export interface IncidentState {
  readonly tenant: string
  readonly id: string
  readonly correlationId: string
  readonly executionId: string
  readonly agentId: string
  /** when the failure happened, ms since the epoch */
  readonly openedAt: number
  /** what the run had spent by then */
  readonly costAtStart: number
  status: IncidentStatus
  /** the run's count of the failure that is dealt with */
  awaiting: number
  diagnosis: { readonly class: FailureClass; readonly classifiedBy: string; readonly fingerprint: string } | null
  facts: FailureFacts | null
  /** until when the run waits for what is decided, ms since the epoch */
  waitsUntil: number
  /** what interrupts the run, while that is under way */
  intervention: { readonly attempt: number; readonly error: FailureFacts['error'] } | null
  plan: PlannedStep | null
  readonly tried: Tried[]
}

export interface PlannedStep {
  readonly number: number
  readonly strategy: RecoveryStrategy
  readonly action: IncidentAction
  readonly why: string
  readonly policy: PolicyRef
  /** `system`, or who decided it */
  readonly by: string
  /** the run goes on by it */
  readonly applied: boolean
  /** of the effects, which is being undone, from 1; 0 when nothing is */
  readonly page: number
  /** where the run goes back to when all effects that stood when this was planned are undone */
  readonly beforeEffects: string | null
  /** how the undoing of effects ended */
  readonly compensated: 'completed' | 'failed' | 'cancelled' | null
}

export const isClosed = ({ status }: Pick<IncidentState, 'status'>): boolean =>
  status === 'succeeded' || status === 'given_up' || status === 'dismissed'

export const closingEvents: ReadonlySet<string> = new Set<IncidentEvent['type']>([
  'RecoverySucceeded',
  'GivenUp',
  'IncidentDismissed',
])

export interface IncidentIdentity {
  readonly tenant: string
  readonly id: string
  readonly correlationId: string
  readonly time: number
}

type DataOf<T extends IncidentEvent['type']> = Extract<IncidentEvent, { type: T }>['data']

const fresh = (
  identity: IncidentIdentity,
  about: { executionId: string; agentId: string; awaiting: number; at: number; cost: number },
  status: IncidentStatus,
): IncidentState => ({
  tenant: identity.tenant,
  id: identity.id,
  correlationId: identity.correlationId,
  executionId: about.executionId,
  agentId: about.agentId,
  openedAt: about.at,
  costAtStart: about.cost,
  status,
  awaiting: about.awaiting,
  diagnosis: null,
  facts: null,
  waitsUntil: 0,
  intervention: null,
  plan: null,
  tried: [],
})

const diagnosed = (state: IncidentState, data: DataOf<'IncidentOpened'>): void => {
  state.facts = data.facts
  state.waitsUntil = data.facts.giveUpAt
  state.awaiting = data.facts.awaiting
  state.diagnosis = { class: data.class, classifiedBy: data.classifiedBy, fingerprint: data.fingerprint }
  state.intervention = null
}

/**
 * Applies an event; mutates `state` and returns it.
 * @throws RangeError for an event that no decision produces
 */
export const evolveIncident = (
  state: IncidentState | undefined,
  event: IncidentEvent,
  identity: IncidentIdentity,
): IncidentState => {
  if (event.type === 'InterventionDecided') {
    const { executionId, agentId, awaiting, attempt, error } = event.data
    const about = { executionId, agentId, awaiting, at: identity.time, cost: 0 }
    const next = state ?? fresh(identity, about, 'intervening')
    next.status = 'intervening'
    next.intervention = { attempt, error }
    return next
  }
  if (event.type === 'IncidentOpened') {
    const { facts } = event.data
    const { executionId, agentId, awaiting, at, costMicroCredits: cost } = facts
    const next = fresh(identity, { executionId, agentId, awaiting, at, cost }, 'planned')
    diagnosed(next, event.data)
    return next
  }
  if (!state) throw new RangeError(`${event.type} came before the incident was opened`)
  apply(state, event)
  return state
}

const apply = (
  state: IncidentState,
  event: Exclude<IncidentEvent, { type: 'InterventionDecided' | 'IncidentOpened' }>,
): void => {
  switch (event.type) {
    case 'FailureRecurred':
      diagnosed(state, event.data)
      state.status = 'planned'
      return
    case 'InterventionRefused':
      state.intervention = null
      if (state.facts) state.status = 'recovering'
      return
    case 'RecoveryPlanned': {
      const { plan: number, strategy, action, why, policy, by } = event.data
      const beforeEffects = state.facts && pointBeforeEffects(state.facts)
      const fresh = { applied: false, page: 0, beforeEffects, compensated: null }
      state.plan = { number, strategy, action, why, policy, by, ...fresh }
      state.status = 'planned'
      if (state.diagnosis) state.tried.push({ strategy, class: state.diagnosis.class })
      return
    }
    case 'EscalatedToPerson':
      state.status = 'escalated'
      return
    case 'CompensationStarted':
      state.status = 'compensating'
      if (state.plan) state.plan = { ...state.plan, page: event.data.page, compensated: null }
      return
    case 'CompensationFinished':
      if (state.plan) state.plan = { ...state.plan, compensated: event.data.status }
      if (event.data.status === 'completed') {
        state.status = 'planned'
        if (state.facts) state.facts = without(state.facts, nextPage(state.facts))
      }
      return
    case 'RecoveryApplied':
      if (state.plan?.number === event.data.plan) state.plan = { ...state.plan, applied: true }
      if (event.data.action.type === 'hold') state.waitsUntil = event.data.action.untilMs
      else state.status = 'recovering'
      // the run makes all of them again, and counts anew
      if (event.data.action.type === 'roll_back' && event.data.action.undone && state.facts)
        state.facts = { ...state.facts, effects: [], effectsMade: 0, effectsUndone: [] }
      return
    case 'RecoverySucceeded':
      state.status = 'succeeded'
      return
    case 'GivenUp':
      state.status = 'given_up'
      return
    case 'IncidentDismissed':
      state.status = 'dismissed'
      return
    // they explain; what follows from them is said by the event after them
    case 'DecidedByPerson':
    case 'RecoveryFailed':
      return
  }
}
