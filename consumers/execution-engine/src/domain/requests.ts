import type {
  ExecutionEvent,
  ExecutionOptions,
  Failure,
  Payload,
  RecordedKind,
  RetryPolicy,
  Usage,
} from '@omium/schemas'
import { anyRequest, hashJson, isTerminal, longestCallerId } from '@omium/schemas'
import { childBudget, leftOf } from './budget.ts'
import { failAttempt } from './decide.ts'
import { type Decision, decided, intentsInDoubt, nothingToDecide, type Refused, refused } from './decision.ts'
import type { OpenEntry } from './entries.ts'
import { errorResult } from './entries.ts'
import type { ExecutionState } from './execution.ts'
import type { RecordedEntry } from './journal.ts'
import { mayRetry, retryDelayMs } from './retry.ts'
import { ranByWorker } from './rewind.ts'

/**
 * What a worker asks for the run it holds, decided.
 *
 * 1. Only the live attempt changes anything: an older number is fenced, a newer one is a lie.
 * 2. A path that is already recorded is answered from the journal when the request is the same, and refused when not.
 * 3. An effect is allowed to start only once its intent is recorded, and only within the budget.
 * 4. What fits any request is put on the record by people and edits, never by a worker.
 * 5. A simulated run makes nothing outside of itself: no effect but model calls, no child.
 * 6. Nothing here reads a clock: `nowMs` is the engine's, and delays are functions of what is recorded.
 */

interface Step {
  readonly path: string
  readonly name: string
  readonly kind: RecordedKind
  readonly stepAttempt: number
  readonly requestHash: string
  readonly input?: Payload | undefined
}
interface Took {
  readonly usage?: Usage | undefined
  readonly startedAt: number
  readonly durationMs: number
}
interface At {
  readonly path: string
  readonly requestHash: string
}

/** The protocol's requests with their values sealed. */
export type WorkerRequest =
  | ({ readonly type: 'step_started'; readonly intent?: { reserveMicroCredits: number } | undefined } & Step)
  | ({ readonly type: 'step_completed'; readonly output: Payload } & Step & Took)
  | ({ readonly type: 'step_failed'; readonly error: Failure; readonly retry: RetryPolicy } & Step & Took)
  | {
      readonly type: 'step_reconciled'
      readonly path: string
      readonly resolution:
        | { status: 'completed'; output: Payload }
        | { status: 'failed'; error: Failure }
        | { status: 'retry' }
    }
  | ({ readonly type: 'timer_start'; readonly durationMs: number } & At)
  | ({ readonly type: 'wait_start'; readonly name: string; readonly timeoutMs?: number | undefined } & At)
  | ({
      readonly type: 'approval_request'
      readonly title: string
      readonly details?: Payload | undefined
      readonly timeoutMs?: number | undefined
    } & At)
  | ({
      readonly type: 'child_start'
      readonly childId: string
      readonly agentId: string
      readonly input: Payload
      readonly options: ExecutionOptions
      /** requests of the same moment, this one included, that draw on the run's budget */
      readonly claims: number
    } & At)
  | { readonly type: 'complete'; readonly output: Payload }
  | { readonly type: 'fail'; readonly error: Failure; readonly rerun?: string[] | undefined }
  | { readonly type: 'suspend'; readonly reason: 'waiting' | 'drained' }

type RequestOf<T extends WorkerRequest['type']> = Extract<WorkerRequest, { type: T }>

export const decideRequest = (
  state: ExecutionState | undefined,
  attempt: number,
  request: WorkerRequest,
  nowMs: number,
): Decision => {
  const fenced = fenceAttempt(state, attempt)
  if (fenced || !state) return fenced ?? refused('execution_unknown', 'there is no such execution')
  if ('requestHash' in request && request.requestHash === anyRequest) {
    return refused('protocol_violation', `${request.path}: ${anyRequest} is not the hash of a request`)
  }
  if ('kind' in request && !state.options.simulate && !ranByWorker.has(request.kind)) {
    const detail = `${request.path} is a ${request.kind}, which the platform settles; only simulated runs record it themselves`
    return refused('protocol_violation', detail)
  }
  switch (request.type) {
    case 'step_started':
      return stepStarted(state, request)
    case 'step_completed':
      return stepCompleted(state, request)
    case 'step_failed':
      return stepFailed(state, request, nowMs)
    case 'step_reconciled':
      return stepReconciled(state, request, nowMs)
    case 'timer_start':
      return timerStart(state, request, nowMs)
    case 'wait_start':
      return waitStart(state, request, nowMs)
    case 'approval_request':
      return approvalRequest(state, request, nowMs)
    case 'child_start':
      return childStart(state, request)
    case 'complete':
      return decided(...intentsInDoubt(state), {
        type: 'ExecutionCompleted',
        data: { attempt, output: request.output },
      })
    case 'fail':
      return failAttempt(state, request.error, nowMs, request.rerun)
    case 'suspend':
      return suspend(state, request.reason)
  }
}

/** Invariant 1. */
const fenceAttempt = (state: ExecutionState | undefined, attempt: number): Refused | null => {
  if (!state) return refused('attempt_fenced', 'the execution is closed, or this engine does not own it any more')
  if (attempt > state.attempt) {
    const detail = `execution ${state.executionId} never had an attempt ${attempt}; its last one is ${state.attempt}`
    return refused('protocol_violation', detail)
  }
  if (attempt < state.attempt) {
    return refused('attempt_fenced', `attempt ${state.attempt} of ${state.executionId} has replaced attempt ${attempt}`)
  }
  if (isTerminal(state.status) || state.worker === null) {
    return refused('attempt_fenced', `attempt ${attempt} of ${state.executionId} has ended; the run is ${state.status}`)
  }
  return null
}

/** Invariant 2: the answer for a path that is recorded already, or null when it is new or open for this request. */
const recorded = (
  state: ExecutionState,
  at: { path: string; requestHash: string },
  continues: (open: OpenEntry) => boolean,
): Decision | null => {
  const settled = state.settled.get(at.path)
  const entry = settled ?? state.open.get(at.path)
  if (!entry) return null
  if (entry.requestHash !== at.requestHash && entry.requestHash !== anyRequest) {
    const detail = `${at.path} is recorded with request ${entry.requestHash}, the code now asks ${at.requestHash}; bring the code back to what was recorded, or fork the run before this step`
    return refused('replay_mismatch', detail)
  }
  if (settled) return { status: 'decided', events: [], entry: settled }
  const open = entry as OpenEntry
  if (continues(open)) return null
  if (open.type === 'step') return nothingToDecide
  return { status: 'decided', events: [], entry: open }
}

const isTryable = (open: OpenEntry): boolean => open.type === 'step' || open.type === 'retrying'

const wrongTry = (state: ExecutionState, step: Step): Refused | null => {
  const open = state.open.get(step.path)
  const expected = open && (open.type === 'step' || open.type === 'retrying') ? open.stepAttempt : 1
  return step.stepAttempt === expected
    ? null
    : refused('protocol_violation', `${step.path} is at try ${expected}, not ${step.stepAttempt}`)
}

const stepRefOf = (state: ExecutionState, step: Step) => ({
  attempt: state.attempt,
  path: step.path,
  name: step.name,
  kind: step.kind,
  stepAttempt: step.stepAttempt,
  requestHash: step.requestHash,
})

/** One key for one effect: the same over every try and attempt, different for every run and after every roll back. */
const idempotencyKeyOf = ({ tenant, executionId, generation }: ExecutionState, path: string): string =>
  `idem_${hashJson([tenant, executionId, path, ...(generation > 0 ? [generation] : [])]).slice(0, 40)}`

/** A child that runs again after a roll back is another one, also where the code chose its id. */
const childIdIn = ({ generation }: ExecutionState, childId: string): string => {
  if (generation === 0) return childId
  const suffix = `.g${generation}`
  return childId.length + suffix.length <= longestCallerId
    ? `${childId}${suffix}`
    : `${childId.slice(0, 80)}.${hashJson(childId).slice(0, 16)}${suffix}`
}

const stepStarted = (state: ExecutionState, request: RequestOf<'step_started'>): Decision => {
  if (state.options.simulate && request.intent && request.kind !== 'llm') return notSimulated(request.path, 'an effect')
  const earlier = state.open.get(request.path)
  const known = recorded(state, request, (open) => open.type === 'retrying')
  if (known) {
    // the same intent again, e.g. after its acknowledgement was lost: the recorded key is the answer
    return known.status === 'decided' && earlier?.type === 'step' && earlier.intent
      ? { ...known, idempotencyKey: earlier.intent.idempotencyKey }
      : known
  }
  const wrong = wrongTry(state, request)
  if (wrong) return wrong
  const reserve = request.intent?.reserveMicroCredits ?? 0
  const left = leftOf(state)
  if (request.intent && left !== null && reserve > left) {
    const promised = `${state.spentMicroCredits} spent, ${state.reservedMicroCredits} reserved, ${state.grantedMicroCredits} granted to children`
    const detail = `${request.path} may cost ${reserve} microcredits, ${left} of ${state.options.budgetMicroCredits} are left (${promised})${state.parent ? grantedByParent : ''}`
    return refused('budget_exceeded', detail)
  }
  const idempotencyKey = request.intent ? idempotencyKeyOf(state, request.path) : undefined
  const started: ExecutionEvent = {
    type: 'StepStarted',
    data: {
      ...stepRefOf(state, request),
      ...(request.input && { input: request.input }),
      ...(idempotencyKey !== undefined && { intent: { idempotencyKey, reservedMicroCredits: reserve } }),
    },
  }
  return idempotencyKey === undefined ? decided(started) : { status: 'decided', events: [started], idempotencyKey }
}

const stepCompleted = (state: ExecutionState, request: RequestOf<'step_completed'>): Decision => {
  const refusal = recorded(state, request, isTryable) ?? wrongTry(state, request)
  if (refusal) return refusal
  return decided({
    type: 'StepCompleted',
    data: {
      ...stepRefOf(state, request),
      ...(request.input && { input: request.input }),
      output: request.output,
      ...(request.usage && { usage: request.usage }),
      startedAt: Math.round(request.startedAt),
      durationMs: request.durationMs,
    },
  })
}

const stepFailed = (state: ExecutionState, request: RequestOf<'step_failed'>, nowMs: number): Decision => {
  const refusal = recorded(state, request, isTryable) ?? wrongTry(state, request)
  if (refusal) return refusal
  const { path, kind, requestHash, stepAttempt, error, retry } = request
  const retryAt =
    error.retryable && mayRetry(retry, stepAttempt, error)
      ? nowMs + retryDelayMs(retry, stepAttempt, `${state.tenant}/${state.executionId}/${path}`)
      : null
  const failed: ExecutionEvent = {
    type: 'StepFailed',
    data: {
      ...stepRefOf(state, request),
      ...(request.input && { input: request.input }),
      error,
      ...(request.usage && { usage: request.usage }),
      retryAt,
      startedAt: Math.round(request.startedAt),
      durationMs: request.durationMs,
    },
  }
  const entry: RecordedEntry =
    retryAt === null
      ? { path, kind, requestHash, result: errorResult(error) }
      : { type: 'retrying', path, kind, requestHash, stepAttempt: stepAttempt + 1, retryAt }
  return { status: 'decided', events: [failed], entry }
}

const stepReconciled = (state: ExecutionState, request: RequestOf<'step_reconciled'>, nowMs: number): Decision => {
  const { path, resolution } = request
  const settled = state.settled.get(path)
  // an operator was faster: what is recorded stands
  if (settled) return { status: 'decided', events: [], entry: settled }
  const open = state.open.get(path)
  if (open?.type === 'retrying') return { status: 'decided', events: [], entry: open }
  if (open?.type !== 'unknown') {
    return refused('outcome_not_unknown', `the outcome of ${path} in ${state.executionId} is not in doubt`)
  }
  const { kind, requestHash, stepAttempt } = open
  const event: ExecutionEvent = {
    type: 'StepOutcomeResolved',
    data: { path, resolution, by: `worker:${state.worker}` },
  }
  const entry: RecordedEntry =
    resolution.status === 'retry'
      ? { type: 'retrying', path, kind, requestHash, stepAttempt: stepAttempt + 1, retryAt: nowMs }
      : {
          path,
          kind,
          requestHash,
          result:
            resolution.status === 'completed'
              ? { type: 'value', payload: resolution.output }
              : errorResult(resolution.error),
        }
  return { status: 'decided', events: [event], entry }
}

const timerStart = (state: ExecutionState, request: RequestOf<'timer_start'>, nowMs: number): Decision => {
  const { path, requestHash, durationMs } = request
  return (
    recorded(state, request, () => false) ??
    decided({
      type: 'TimerStarted',
      data: { attempt: state.attempt, path, requestHash, fireAt: nowMs + durationMs },
    })
  )
}

const waitStart = (state: ExecutionState, request: RequestOf<'wait_start'>, nowMs: number): Decision => {
  const known = recorded(state, request, () => false)
  if (known) return known
  const { path, requestHash, name, timeoutMs } = request
  const started: ExecutionEvent = {
    type: 'WaitStarted',
    data: {
      attempt: state.attempt,
      path,
      requestHash,
      name,
      ...(timeoutMs !== undefined && { timeoutAt: nowMs + timeoutMs }),
    },
  }
  const signal = state.signals.get(name)?.[0]
  if (!signal) return decided(started)
  return {
    status: 'decided',
    events: [started, { type: 'WaitResolved', data: { path, signalId: signal.signalId } }],
    entry: { path, kind: 'wait', requestHash, result: { type: 'signal', ...signal, name } },
  }
}

const approvalRequest = (state: ExecutionState, request: RequestOf<'approval_request'>, nowMs: number): Decision => {
  const { path, requestHash, title, details, timeoutMs } = request
  return (
    recorded(state, request, () => false) ??
    decided({
      type: 'ApprovalRequested',
      data: {
        attempt: state.attempt,
        path,
        requestHash,
        title,
        ...(details && { details }),
        ...(timeoutMs !== undefined && { timeoutAt: nowMs + timeoutMs }),
      },
    })
  )
}

const grantedByParent =
  '; they are what the parent could grant when this run was started: children that are not started together need budgets of their own'

/** Workers answer such calls from recordings; one that does not know of simulations must not make them either. */
const notSimulated = (path: string, what: string): Refused =>
  refused('replay_miss', `${path} is ${what}, which a simulated run is answered from its recordings and never makes`)

const childStart = (state: ExecutionState, request: RequestOf<'child_start'>): Decision => {
  if (state.options.simulate) return notSimulated(request.path, 'a child run')
  const known = recorded(state, request, () => false)
  if (known) return known
  const { path, requestHash, agentId, input, claims } = request
  const childId = childIdIn(state, request.childId)
  if (childId === state.executionId) return refused('protocol_violation', 'an execution cannot be its own child')
  const budgetMicroCredits = childBudget(state, request.options.budgetMicroCredits, claims)
  const options = { ...request.options, ...(budgetMicroCredits !== undefined && { budgetMicroCredits }) }
  const { attempt, overrides } = state
  return decided({
    type: 'ChildRequested',
    data: { attempt, path, requestHash, childId, agentId, input, options, ...(overrides && { overrides }) },
  })
}

const suspend = (state: ExecutionState, reason: 'waiting' | 'drained'): Decision => {
  for (const entry of state.open.values()) {
    if (entry.type === 'step' && entry.intent) {
      return refused('protocol_violation', `${entry.path} has an effect under way; the run cannot leave its worker now`)
    }
  }
  return decided({ type: 'ExecutionSuspended', data: { attempt: state.attempt, reason } })
}
