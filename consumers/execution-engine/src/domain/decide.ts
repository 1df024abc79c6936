import type { ExecutionCommand, ExecutionEvent, Failure } from '@omium/schemas'
import { errorCatalogue, isTerminal } from '@omium/schemas'
import { type Decision, decided, intentsInDoubt, nothingToDecide, type Refused, refused } from './decision.ts'
import { decisionIn } from './entries.ts'
import { deadlineOf, dispatchableFrom, type ExecutionState } from './execution.ts'
import { mayRetry, retryDelayMs } from './retry.ts'
import { ranByWorker } from './rewind.ts'

/**
 * One pure function per command, and per thing that happens to a run from inside the engine: a slot, a loss, a clock.
 * What workers ask is decided in requests.ts.
 */

type CommandOf<T extends ExecutionCommand['type']> = Extract<ExecutionCommand, { type: T }>['data']

/** A run without any new result in so many attempts in a row is taken to kill its workers. */
export const maxLostAttempts = 10

const unknown = refused('execution_unknown', 'there is no execution with this id, or it closed long ago')
const finished = (state: ExecutionState) =>
  refused('execution_finished', `execution ${state.executionId} is ${state.status}; nothing can change it any more`)

export const failureOf = (code: keyof typeof errorCatalogue, detail: string): Failure => ({
  code,
  detail,
  retryable: errorCatalogue[code].retryable,
})

/** How long a failed run waits for its recovery before it fails after all. */
export const recoveryPatienceMs = 24 * 3_600_000
const dayMs = 86_400_000
const longestHoldMs = 366 * dayMs

/** The run failed: for good, or until its recovery decides. Past its time limit nothing is left to recover. */
export const failed = (
  state: ExecutionState,
  error: Failure,
  nowMs: number,
  rerun?: readonly string[],
): ExecutionEvent => {
  const attempt = state.attempt > 0 && { attempt: state.attempt }
  const deadline = deadlineOf(state)
  if (!state.options.recovery || (deadline !== null && deadline <= nowMs)) {
    return { type: 'ExecutionFailed', data: { ...attempt, error } }
  }
  return {
    type: 'RecoveryAwaited',
    data: {
      incident: state.incidents + 1,
      ...attempt,
      error,
      giveUpAt: nowMs + recoveryPatienceMs,
      ...(rerun && { rerun: [...rerun] }),
    },
  }
}

/** The live attempt ends with an error of the agent's code: another attempt, a recovery, or the end. */
export const failAttempt = (
  state: ExecutionState,
  error: Failure,
  nowMs: number,
  rerun?: readonly string[],
): Decision => {
  const { attempt, options } = state
  const tries = state.failedAttempts + 1
  const doubts = intentsInDoubt(state)
  // code that threw outside of a step is what this policy is for; everything else says itself whether it may pass
  const mayPass = error.retryable || error.code === 'agent_threw'
  if (options.retry && mayPass && mayRetry(options.retry, tries, error)) {
    const retryAt = nowMs + retryDelayMs(options.retry, tries, `${state.tenant}/${state.executionId}`)
    const data = { attempt, error, retryAt, ...(rerun && { rerun: [...rerun] }) }
    return decided({ type: 'AttemptFailed', data }, ...doubts)
  }
  return decided(...doubts, failed(state, error, nowMs, rerun))
}

/** Decides any execution command; `by` is the envelope's actor. */
export const decideCommand = (
  state: ExecutionState | undefined,
  command: ExecutionCommand,
  by: string,
  nowMs: number,
): Decision => {
  switch (command.type) {
    case 'StartExecution':
      return startExecution(state, command.data)
    case 'SignalExecution':
      return signalExecution(state, command.data)
    case 'DecideApproval':
      return decideApproval(state, command.data, by)
    case 'PauseExecution':
      return pauseExecution(state, command.data, by)
    case 'ResumeExecution':
      return resumeExecution(state, by)
    case 'CancelExecution':
      return cancelExecution(state, command.data, by)
    case 'RollBackExecution':
      return rollBackExecution(state, command.data, by)
    case 'InterruptExecution':
      return interruptExecution(state, command.data, nowMs)
    case 'RecoverExecution':
      return recoverExecution(state, command.data, by, nowMs)
    case 'ResolveStepOutcome':
      return resolveStepOutcome(state, command.data, by)
    case 'DeliverChildOutcome':
      return deliverChildOutcome(state, command.data)
    case 'GrantPermit':
      return grantPermit(state, command.data)
  }
}

export const startExecution = (state: ExecutionState | undefined, data: CommandOf<'StartExecution'>): Decision => {
  if (!state) {
    const { executionId, agentId, input, requestHash, options, parent, forkedFrom, overrides } = data
    return decided({
      type: 'ExecutionRequested',
      data: {
        executionId,
        agentId,
        input,
        requestHash,
        options,
        ...(parent && { parent }),
        ...(forkedFrom && { forkedFrom }),
        ...(overrides && { overrides }),
      },
    })
  }
  const sameParent = state.parent?.executionId === data.parent?.executionId && state.parent?.path === data.parent?.path
  if (state.requestHash === data.requestHash && sameParent) return nothingToDecide
  return refused(
    'execution_conflict',
    `execution ${data.executionId} exists with another agent, input or parent; choose another id or send the same request`,
  )
}

export const signalExecution = (state: ExecutionState | undefined, data: CommandOf<'SignalExecution'>): Decision => {
  if (!state) return unknown
  if (isTerminal(state.status)) return finished(state)
  const { signalId, name, payload } = data
  if (state.signalIds.has(signalId)) return nothingToDecide
  const received: ExecutionEvent = { type: 'SignalReceived', data: { signalId, name, payload } }
  const path = state.waits.get(name)?.[0]
  return path === undefined ? decided(received) : decided(received, { type: 'WaitResolved', data: { path, signalId } })
}

export const decideApproval = (
  state: ExecutionState | undefined,
  data: CommandOf<'DecideApproval'>,
  by: string,
): Decision => {
  if (!state) return unknown
  if (isTerminal(state.status)) return finished(state)
  const { path, decision, comment } = data
  const earlier = state.settled.get(path)
  if (earlier?.kind === 'approval' && decisionIn(earlier) === decision) return nothingToDecide
  if (state.open.get(path)?.type !== 'approval') {
    return refused('approval_unknown', `execution ${state.executionId} awaits no approval at ${path}`)
  }
  return decided({ type: 'ApprovalDecided', data: { path, decision, by, ...(comment !== undefined && { comment }) } })
}

export const pauseExecution = (
  state: ExecutionState | undefined,
  data: CommandOf<'PauseExecution'>,
  by: string,
): Decision => {
  if (!state) return unknown
  if (isTerminal(state.status)) return finished(state)
  if (state.status === 'paused') return refused('execution_paused', `execution ${state.executionId} is already paused`)
  if (state.status === 'recovering') {
    const detail = `execution ${state.executionId} stands still already: it failed and waits for its recovery`
    return refused('execution_recovering', detail)
  }
  return decided(...intentsInDoubt(state), {
    type: 'ExecutionPaused',
    data: { by, ...(data.reason !== undefined && { reason: data.reason }) },
  })
}

export const resumeExecution = (state: ExecutionState | undefined, by: string): Decision => {
  if (!state) return unknown
  if (isTerminal(state.status)) return finished(state)
  if (state.status !== 'paused') {
    return refused('execution_not_paused', `execution ${state.executionId} is ${state.status}, not paused`)
  }
  return decided({ type: 'ExecutionResumed', data: { by } })
}

export const cancelExecution = (
  state: ExecutionState | undefined,
  data: CommandOf<'CancelExecution'>,
  by: string,
): Decision => {
  if (!state) return unknown
  if (state.status === 'cancelled') return nothingToDecide
  if (isTerminal(state.status)) return finished(state)
  return decided(...intentsInDoubt(state), {
    type: 'ExecutionCancelled',
    data: { by, ...(data.reason !== undefined && { reason: data.reason }) },
  })
}

/** Whether a roll back can go to this path: a settled one, or one that the run may have taken over from another. */
const isPoint = (state: ExecutionState, toPath: string | null): boolean =>
  toPath === null || state.settled.has(toPath) || (state.seed !== null && !state.open.has(toPath))

const rolledBack = (
  state: ExecutionState,
  { toPath, reason, overrides }: CommandOf<'RollBackExecution'>,
  by: string,
): ExecutionEvent => ({
  type: 'ExecutionRolledBack',
  data: {
    toPath,
    generation: state.generation + 1,
    by,
    ...(reason !== undefined && { reason }),
    ...(overrides && { overrides }),
  },
})

const noPoint = (state: ExecutionState, toPath: string | null) =>
  refused('step_unknown', `execution ${state.executionId} has recorded no result at ${toPath}`)

export const rollBackExecution = (
  state: ExecutionState | undefined,
  data: CommandOf<'RollBackExecution'>,
  by: string,
): Decision => {
  if (!state) return unknown
  if (isTerminal(state.status)) return finished(state)
  if (!isPoint(state, data.toPath)) return noPoint(state, data.toPath)
  return decided(...intentsInDoubt(state), rolledBack(state, data, by))
}

export const interruptExecution = (
  state: ExecutionState | undefined,
  { error, attempt }: CommandOf<'InterruptExecution'>,
  nowMs: number,
): Decision => {
  if (!state) return unknown
  if (isTerminal(state.status)) return finished(state)
  if (state.worker === null) {
    const detail = `execution ${state.executionId} is ${state.status}; there is nothing to interrupt`
    return refused('execution_not_running', detail)
  }
  if (attempt !== undefined && attempt !== state.attempt) {
    const detail = `attempt ${attempt} of ${state.executionId} has ended; attempt ${state.attempt} is another matter`
    return refused('execution_not_running', detail)
  }
  // the code was still at work: it has taken the failures that it was given, and nothing says that it may get others
  return failAttempt(state, error, nowMs, [])
}

/**
 * A value takes the place of a failure, or of what never came to a result. Where the code has already been given another
 * answer and gone on from it, the journal would fit no replay any more.
 */
const cannotSettle = (state: ExecutionState, path: string): Refused | null => {
  const settled = state.settled.get(path)
  if (!settled) return null
  if (settled.result.type !== 'error') {
    return refused('invalid_request', `${path} of ${state.executionId} has a result already; fork the run to change it`)
  }
  const rerun = state.recovery?.rerun
  if (!rerun || !ranByWorker.has(settled.kind) || rerun.includes(path)) return null
  const detail = `the code of ${state.executionId} has reacted to the failure of ${path} and gone on; roll the run back to before it, or fork it with another result`
  return refused('invalid_request', detail)
}

export const recoverExecution = (
  state: ExecutionState | undefined,
  { incident, action, reason, effectsUndone }: CommandOf<'RecoverExecution'>,
  by: string,
  nowMs: number,
): Decision => {
  if (!state) return unknown
  if (isTerminal(state.status)) return finished(state)
  const { recovery } = state
  if (recovery?.incident !== incident) {
    const awaited = recovery ? `waits for a decision about incident ${recovery.incident}` : `is ${state.status}`
    const detail = `execution ${state.executionId} ${awaited}; incident ${incident} is not open`
    return refused('execution_not_recovering', detail)
  }
  if (action.type === 'give_up') {
    const attempt = state.attempt > 0 && { attempt: state.attempt }
    return decided({ type: 'ExecutionFailed', data: { ...attempt, error: recovery.error } })
  }
  if (action.type === 'hold' && action.untilMs <= nowMs) {
    return refused('invalid_request', `untilMs: ${new Date(action.untilMs).toISOString()} is over already`)
  }
  if (action.type === 'hold' && action.untilMs > nowMs + longestHoldMs) {
    return refused('invalid_request', `untilMs: a run waits for a person for ${longestHoldMs / dayMs} days at most`)
  }
  if (action.type === 'settle') {
    const why = cannotSettle(state, action.path)
    if (why) return why
  }
  const recovered: ExecutionEvent = {
    type: 'ExecutionRecovered',
    data: { incident, action, by, ...(reason !== undefined && { reason }), ...(effectsUndone && { effectsUndone }) },
  }
  if (action.type !== 'roll_back') return decided(recovered)
  if (!isPoint(state, action.toPath)) return noPoint(state, action.toPath)
  return decided(rolledBack(state, { toPath: action.toPath, reason }, by), recovered)
}

/** The time in which somebody might have decided about a recovery is over. */
export const giveUpRecovery = (state: ExecutionState, nowMs: number): Decision => {
  const { recovery } = state
  if (!recovery || recovery.giveUpAt > nowMs) return nothingToDecide
  const attempt = state.attempt > 0 && { attempt: state.attempt }
  return decided({ type: 'ExecutionFailed', data: { ...attempt, error: recovery.error } })
}

export const resolveStepOutcome = (
  state: ExecutionState | undefined,
  data: CommandOf<'ResolveStepOutcome'>,
  by: string,
): Decision => {
  if (!state) return unknown
  if (isTerminal(state.status)) return finished(state)
  const { path, resolution, comment } = data
  if (state.open.get(path)?.type !== 'unknown') {
    return refused('outcome_not_unknown', `the outcome of ${path} in ${state.executionId} is not in doubt`)
  }
  return decided({
    type: 'StepOutcomeResolved',
    data: { path, resolution, by, ...(comment !== undefined && { comment }) },
  })
}

export const deliverChildOutcome = (
  state: ExecutionState | undefined,
  data: CommandOf<'DeliverChildOutcome'>,
): Decision => {
  if (!state) return unknown
  const { path, childId } = data
  const entry = state.abandoned.get(childId) ?? state.open.get(path)
  if (entry?.type !== 'child' || entry.childId !== childId || entry.path !== path) return nothingToDecide
  return decided({ type: 'ChildFinished', data })
}

export const grantPermit = (state: ExecutionState | undefined, data: CommandOf<'GrantPermit'>): Decision => {
  if (!state) return unknown
  if (isTerminal(state.status)) return finished(state)
  if (state.permit !== 'awaiting' || state.options.concurrency?.key !== data.key) return nothingToDecide
  return decided({ type: 'PermitGranted', data: { key: data.key } })
}

/** A worker with a free slot takes the run. */
export const startAttempt = (
  state: ExecutionState,
  worker: { id: string; runtime: string },
  nowMs: number,
): Decision => {
  const from = dispatchableFrom(state)
  if (from === null || from > nowMs) {
    return refused('internal', `execution ${state.executionId} is ${state.status} and cannot be handed out now`)
  }
  return decided({
    type: 'ExecutionStarted',
    data: { attempt: state.attempt + 1, workerId: worker.id, runtime: worker.runtime },
  })
}

export type LossReason = Extract<ExecutionEvent, { type: 'AttemptLost' }>['data']['reason']

/** The worker of the live attempt is gone. */
export const loseAttempt = (state: ExecutionState, reason: LossReason, nowMs: number, detail?: string): Decision => {
  if (state.worker === null) return nothingToDecide
  const lost: ExecutionEvent = {
    type: 'AttemptLost',
    data: {
      attempt: state.attempt,
      workerId: state.worker,
      reason,
      ...(detail !== undefined && { detail: detail.slice(0, 2000) }),
    },
  }
  const events = [lost, ...intentsInDoubt(state)]
  if (reason !== 'engine_restarted' && state.lostAttempts >= maxLostAttempts) {
    const inARow = `${state.lostAttempts + 1} attempts in a row were lost without a new result; the run seems to kill its workers`
    const explained = detail === undefined ? inARow : `${inARow}. The last time: ${detail}`
    // like every loss, it leaves the failures that the code has taken where they are
    events.push(failed(state, failureOf('attempts_exhausted', explained.slice(0, 4000)), nowMs, []))
  }
  return decided(...events)
}

/** The time of a timer, a wait, an approval or the whole run has come. `path` null is the run's own limit. */
export const elapse = (state: ExecutionState, path: string | null, nowMs: number): Decision => {
  if (isTerminal(state.status)) return nothingToDecide
  if (path === null) {
    const deadline = deadlineOf(state)
    if (deadline === null || deadline > nowMs) return nothingToDecide
    const detail = `execution ${state.executionId} ran longer than its limit of ${state.options.timeoutMs} ms`
    return decided(...intentsInDoubt(state), {
      type: 'ExecutionFailed',
      data: { ...(state.attempt > 0 && { attempt: state.attempt }), error: failureOf('execution_timeout', detail) },
    })
  }
  const entry = state.open.get(path)
  switch (entry?.type) {
    case 'timer':
      return entry.fireAt <= nowMs ? decided({ type: 'TimerFired', data: { path } }) : nothingToDecide
    case 'wait':
      return entry.timeoutAt !== null && entry.timeoutAt <= nowMs
        ? decided({ type: 'WaitResolved', data: { path } })
        : nothingToDecide
    case 'approval':
      return entry.timeoutAt !== null && entry.timeoutAt <= nowMs
        ? decided({ type: 'ApprovalDecided', data: { path, decision: 'timed_out', by: 'system' } })
        : nothingToDecide
    default:
      return nothingToDecide
  }
}

/** The parent's partition has the outcome. */
export const outcomeDelivered = (state: ExecutionState): Decision =>
  state.parent && !state.delivered && isTerminal(state.status)
    ? decided({ type: 'OutcomeDelivered', data: { parentId: state.parent.executionId } })
    : nothingToDecide

/** The pool has been told that the permit is free. */
export const permitReturned = (state: ExecutionState): Decision =>
  state.options.concurrency && isTerminal(state.status) && (state.permit === 'held' || state.permit === 'awaiting')
    ? decided({ type: 'PermitReturned', data: { key: state.options.concurrency.key } })
    : nothingToDecide
