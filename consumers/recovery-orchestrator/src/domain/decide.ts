import type {
  ErrorCode,
  FailureFacts,
  IncidentAction,
  IncidentCommand,
  IncidentEvent,
  RecoveryStrategy,
} from '@omium/schemas'
import { classify } from './classify.ts'
import { nextPage, pagesOf, sizeOf, without } from './effects.ts'
import { fingerprintOf } from './fingerprint.ts'
import { type IncidentState, isClosed } from './incident.ts'
import { compensationId, interruptCommandId, recoverCommandId } from './outbox.ts'
import { makePlan, type Observed, type PolicyInForce, type Situation, type Tried } from './plan.ts'
import { rootCauseOf } from './root-cause.ts'

/** One pure function per command to an incident. Reports that come late, or twice, decide nothing. */

export interface Decided<E> {
  readonly status: 'decided'
  readonly events: readonly E[]
}
export interface Refused {
  readonly status: 'refused'
  readonly code: ErrorCode
  readonly detail: string
}
export type Decision<E = IncidentEvent> = Decided<E> | Refused

const decided = (...events: IncidentEvent[]): Decision => ({ status: 'decided', events })
const refused = (code: ErrorCode, detail: string): Refused => ({ status: 'refused', code, detail })
const nothing: Decision = { status: 'decided', events: [] }

/** What a decision needs beside the incident: the tenant's policies and what has helped before, as they are now. */
export interface Knowledge {
  readonly nowMs: number
  policy(tenant: string, name: string): PolicyInForce
  observed(tenant: string, failure: Diagnosis, strategy: RecoveryStrategy): Observed | null
}
export type Diagnosis = Pick<Situation, 'class' | 'fingerprint'>

export interface Addressee {
  readonly tenant: string
  readonly id: string
  /** the envelope's actor */
  readonly by: string
}

type CommandOf<T extends IncidentCommand['type']> = Extract<IncidentCommand, { type: T }>['data']

export const decideIncidentCommand = (
  state: IncidentState | undefined,
  command: IncidentCommand,
  to: Addressee,
  knowledge: Knowledge,
): Decision => {
  switch (command.type) {
    case 'ReportFailure':
      return reportFailure(state, command.data.facts, to, knowledge)
    case 'ProposeIntervention':
      return proposeIntervention(state, command.data)
    case 'ReportApplied':
      return reportApplied(state, command.data)
    case 'ReportRefused':
      return reportRefused(state, command.data, to, knowledge)
    case 'ReportRecovered':
      return reportRecovered(state, command.data)
    case 'ReportRunEnded':
      return reportRunEnded(state, command.data)
    case 'ReportCompensation':
      return reportCompensation(state, command.data, knowledge)
    case 'DecideIncident':
      return decideByPerson(state, command.data, to, knowledge)
  }
}

const diagnose = (facts: FailureFacts) => {
  const rootCause = rootCauseOf(facts.chain)
  const { class: failureClass, by } = classify(facts, rootCause)
  const fingerprint = fingerprintOf(failureClass, rootCause, facts.agentId)
  return { facts, class: failureClass, classifiedBy: by, fingerprint, rootCause }
}

interface Planning {
  readonly to: Pick<Addressee, 'tenant' | 'id'>
  readonly facts: FailureFacts
  readonly diagnosis: Diagnosis & { readonly classifiedBy: string }
  readonly tried: readonly Tried[]
  readonly costMicroCredits: number
  readonly number: number
}

const planned = ({ to, facts, diagnosis, tried, costMicroCredits, number }: Planning, knowledge: Knowledge) => {
  const policy = knowledge.policy(to.tenant, facts.policy)
  const plan = makePlan({
    incidentId: to.id,
    facts,
    class: diagnosis.class,
    classifiedBy: diagnosis.classifiedBy,
    fingerprint: diagnosis.fingerprint,
    tried,
    costMicroCredits,
    policy,
    observed: (strategy) => knowledge.observed(to.tenant, diagnosis, strategy),
    nowMs: knowledge.nowMs,
  })
  const { strategy, action, why, attempt, of, alternatives } = plan
  const events: IncidentEvent[] = [
    {
      type: 'RecoveryPlanned',
      data: {
        plan: number,
        awaiting: facts.awaiting,
        strategy,
        action,
        why,
        attempt,
        of,
        costMicroCredits,
        alternatives: [...alternatives],
        policy: policy.ref,
        by: 'system',
      },
    },
  ]
  return [...events, ...consequences(action, number, { id: to.id, facts, why })]
}

/** What a plan brings with it at once. */
const consequences = (
  action: IncidentAction,
  plan: number,
  { id, facts, why }: { id: string; facts: FailureFacts; why: string },
): IncidentEvent[] => {
  if (action.type === 'hold') {
    return [{ type: 'EscalatedToPerson', data: { plan, question: why, untilMs: action.untilMs } }]
  }
  return action.type === 'compensate' ? [compensationOf(id, plan, action.agentId, facts, 1)] : []
}

/** One page of a run's effects is undone next. */
const compensationOf = (
  id: string,
  plan: number,
  agentId: string,
  facts: FailureFacts,
  page: number,
): IncidentEvent => ({
  type: 'CompensationStarted',
  data: {
    plan,
    executionId: compensationId(id, plan, page),
    agentId,
    effects: sizeOf(nextPage(facts)),
    page,
    pages: page - 1 + pagesOf(facts),
  },
})

const reportFailure = (
  state: IncidentState | undefined,
  told: FailureFacts,
  to: Addressee,
  knowledge: Knowledge,
): Decision => {
  if (state && (isClosed(state) || (state.facts !== null && told.awaiting <= state.awaiting))) return nothing
  // whoever forestalled the incident did not tell the run what had been undone by then
  const facts = without(told, state?.facts?.effectsUndone ?? [])
  const diagnosis = diagnose(facts)
  // an intervention is where the incident begins; its clock runs from the failure that it provoked
  const known = state?.facts ? state : undefined
  const events: IncidentEvent[] = []
  if (known) events.push(...lastTryFailed(known, `the run failed again: ${facts.error.code}`))
  events.push({ type: known ? 'FailureRecurred' : 'IncidentOpened', data: diagnosis })
  const planning: Planning = {
    to,
    facts,
    diagnosis,
    tried: known?.tried ?? [],
    costMicroCredits: known ? Math.max(0, facts.costMicroCredits - known.costAtStart) : 0,
    number: (known?.plan?.number ?? 0) + 1,
  }
  return decided(...events, ...planned(planning, knowledge))
}

const lastTryFailed = ({ plan, diagnosis }: IncidentState, why: string): IncidentEvent[] =>
  plan && diagnosis
    ? [
        {
          type: 'RecoveryFailed',
          data: {
            plan: plan.number,
            strategy: plan.strategy,
            class: diagnosis.class,
            fingerprint: diagnosis.fingerprint,
            why: why.slice(0, 4000),
          },
        },
      ]
    : []

const proposeIntervention = (state: IncidentState | undefined, data: CommandOf<'ProposeIntervention'>): Decision =>
  // before its recovery is applied the run stands still anyway
  state && state.status !== 'recovering'
    ? nothing
    : decided({ type: 'InterventionDecided', data: { ...data, why: data.error.detail.slice(0, 4000) } })

const reportApplied = (state: IncidentState | undefined, data: CommandOf<'ReportApplied'>): Decision => {
  if (!state?.plan || isClosed(state) || data.awaiting !== state.awaiting) return nothing
  const { applied, number } = state.plan
  // a hold leaves the run waiting: what is applied after it is another matter
  if (applied && state.status !== 'escalated') return nothing
  // the hold of a question that was answered meanwhile says nothing about what the answer asks for
  if (data.action.type === 'hold' && (applied || state.plan.action.type !== 'hold')) return nothing
  const { action, by, at } = data
  return decided({ type: 'RecoveryApplied', data: { plan: number, action, by, at } })
}

const reportRefused = (
  state: IncidentState | undefined,
  { commandId, code, detail, at }: CommandOf<'ReportRefused'>,
  to: Addressee,
  knowledge: Knowledge,
): Decision => {
  if (!state || isClosed(state)) return nothing
  if (state.status === 'intervening' && state.intervention) {
    if (commandId !== interruptCommandId(to.tenant, to.id, state.intervention.attempt)) return nothing
    const why = `the run was not interrupted: ${detail}`.slice(0, 4000)
    const notDone: IncidentEvent = { type: 'InterventionRefused', data: { why } }
    return state.facts ? decided(notDone) : decided(notDone, { type: 'IncidentDismissed', data: { why, at } })
  }
  const { plan, facts, diagnosis } = state
  if (!plan || plan.applied || !facts || !diagnosis) return nothing
  if (commandId !== recoverCommandId(to.tenant, to.id, plan.number)) return nothing
  const failed = lastTryFailed(state, `the run refused it: ${code}: ${detail}`)
  if (code === 'execution_finished' || code === 'execution_unknown' || code === 'execution_not_recovering') {
    return decided(...failed, {
      type: 'IncidentDismissed',
      data: { why: `the run waits for no recovery any more: ${detail}`.slice(0, 4000), at },
    })
  }
  const planning: Planning = {
    to,
    facts,
    diagnosis,
    tried: state.tried,
    costMicroCredits: Math.max(0, facts.costMicroCredits - state.costAtStart),
    number: plan.number + 1,
  }
  // a person who was refused is asked again, and so is one when the policy is refused time and again
  const times = state.tried.filter(({ strategy }) => strategy === plan.strategy).length
  const why = `the run refused what was ${plan.by === 'system' ? 'planned' : 'decided'}: ${code}: ${detail}`.slice(
    0,
    4000,
  )
  const ask = plan.by !== 'system' || times > 3
  // the question itself is refused: it stands, and the run waits as long as it would have anyway
  if (plan.by === 'system' && plan.strategy === 'ask_person' && times > 4) return decided(...failed)
  return decided(...failed, ...(ask ? asked(planning, why, knowledge) : planned(planning, knowledge)))
}

const asked = (
  planning: Omit<Planning, 'diagnosis' | 'tried'>,
  why: string,
  knowledge: Knowledge,
  untilMs = knowledge.nowMs + 86_400_000,
): IncidentEvent[] => {
  const { facts, number, to, costMicroCredits } = planning
  const action = { type: 'hold', untilMs } as const
  return [
    {
      type: 'RecoveryPlanned',
      data: {
        plan: number,
        awaiting: facts.awaiting,
        strategy: 'ask_person',
        action,
        why,
        attempt: 1,
        of: 1,
        costMicroCredits,
        alternatives: [],
        policy: knowledge.policy(to.tenant, facts.policy).ref,
        by: 'system',
      },
    },
    ...consequences(action, number, { id: to.id, facts, why }),
  ]
}

const reportRecovered = (state: IncidentState | undefined, data: CommandOf<'ReportRecovered'>): Decision => {
  if (!state || isClosed(state)) return nothing
  const { plan, diagnosis, openedAt } = state
  if (!plan || !diagnosis) return dismissed('the run went on before anything was decided', data.at)
  const { how, path, at, costMicroCredits } = data
  return decided({
    type: 'RecoverySucceeded',
    data: {
      plan: plan.number,
      strategy: plan.strategy,
      class: diagnosis.class,
      fingerprint: diagnosis.fingerprint,
      how,
      ...(path !== undefined && { path }),
      recoveredInMs: Math.max(0, at - openedAt),
      attempts: state.tried.length,
      costMicroCredits: Math.max(0, costMicroCredits - state.costAtStart),
    },
  })
}

const dismissed = (why: string, at: number): Decision =>
  decided({ type: 'IncidentDismissed', data: { why: why.slice(0, 4000), at } })

const reportRunEnded = (
  state: IncidentState | undefined,
  { status, at, detail }: CommandOf<'ReportRunEnded'>,
): Decision => {
  if (!state || isClosed(state)) return nothing
  if (status !== 'failed') return dismissed(`the run was ${status}${detail ? `: ${detail}` : ''}`, at)
  const { plan } = state
  const intended = plan?.action.type === 'give_up' || plan?.action.type === 'compensate'
  const why = intended ? plan.why : `the run failed before it was recovered${detail ? `: ${detail}` : ''}`
  const failed = intended || !plan?.applied ? [] : lastTryFailed(state, why)
  return decided(...failed, { type: 'GivenUp', data: { why: why.slice(0, 4000), by: 'system', at } })
}

const reportCompensation = (
  state: IncidentState | undefined,
  { executionId, status, detail, at }: CommandOf<'ReportCompensation'>,
  knowledge: Knowledge,
): Decision => {
  if (state?.status !== 'compensating' || !state.plan || !state.facts) return nothing
  const { plan, facts, id, tenant } = state
  const { action, page } = plan
  if (action.type !== 'compensate' || executionId !== compensationId(id, plan.number, page)) return nothing
  const finished: IncidentEvent = {
    type: 'CompensationFinished',
    data: { executionId, status, ...(detail !== undefined && { detail }) },
  }
  const pages = page - 1 + pagesOf(facts)
  const inTime = at + action.timeoutMs < state.waitsUntil
  if (status === 'completed' && page >= pages) return decided(finished)
  if (status === 'completed' && inTime) {
    return decided(finished, compensationOf(id, plan.number, action.agentId, without(facts, nextPage(facts)), page + 1))
  }
  // effects that could not be undone are a person's business
  const ended =
    status === 'completed'
      ? `${page} of ${pages} compensations are done, and the run does not wait long enough for the next`
      : `the compensation ${executionId} (${page} of ${pages}) has ${status === 'failed' ? 'failed' : 'been cancelled'}`
  const why = `${ended}${detail ? `: ${detail}` : ''}; some effects may still stand`
  const planning = {
    to: { tenant, id },
    facts,
    costMicroCredits: Math.max(0, facts.costMicroCredits - state.costAtStart),
    number: plan.number + 1,
  }
  return decided(
    finished,
    ...lastTryFailed(state, why),
    ...asked(planning, why.slice(0, 4000), knowledge, Math.max(state.waitsUntil, at + 86_400_000)),
  )
}

const longestHoldMs = 366 * 86_400_000

/** A decision of a person counts under the strategy that it amounts to. */
export const strategyOf = (action: IncidentAction): RecoveryStrategy => {
  switch (action.type) {
    case 'retry':
      if (action.overrides?.models) return 'other_model'
      if (action.overrides?.maxInputTokens) return 'smaller_context'
      if (action.overrides?.instructions) return 'repair_prompt'
      return action.avoidWorker ? 'reassign' : 'retry'
    case 'roll_back':
      return 'roll_back'
    case 'settle':
      return 'skip_with_default'
    case 'hold':
      return 'ask_person'
    case 'compensate':
      return 'compensate'
    case 'give_up':
      return 'give_up'
  }
}

const decideByPerson = (
  state: IncidentState | undefined,
  { action, reason }: CommandOf<'DecideIncident'>,
  { by, id }: Addressee,
  { nowMs }: Knowledge,
): Decision => {
  if (!state) return refused('incident_unknown', 'there is no incident with this id, or it closed long ago')
  const { plan, facts, diagnosis } = state
  if (state.status !== 'escalated' || !plan || !facts || !diagnosis) {
    return refused('incident_not_undecided', `incident ${id} is ${state.status}: it waits for no decision`)
  }
  if (action.type === 'hold' && (action.untilMs <= nowMs || action.untilMs > nowMs + longestHoldMs)) {
    return refused('invalid_request', 'untilMs: choose a time between now and a year from now')
  }
  if (action.type === 'compensate' && facts.effectsMade === 0) {
    return refused('invalid_request', 'the run has made no effect that still stands')
  }
  const number = plan.number + 1
  const why = `decided by ${by}${reason ? `: ${reason}` : ''}`
  return decided(
    { type: 'DecidedByPerson', data: { by, action, ...(reason !== undefined && { reason }) } },
    {
      type: 'RecoveryPlanned',
      data: {
        plan: number,
        awaiting: state.awaiting,
        strategy: strategyOf(action),
        action,
        why,
        attempt: 1,
        of: 1,
        costMicroCredits: Math.max(0, facts.costMicroCredits - state.costAtStart),
        alternatives: [],
        policy: plan.policy,
        by,
      },
    },
    ...consequences(action, number, { id, facts, why }),
  )
}
