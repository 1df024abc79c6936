import type { ExecutionEvent, ExecutionOutcome, Payload, RecoveryAction, RunOverrides } from '@omium/schemas'
import { anyRequest, isTerminal, mergeOverrides } from '@omium/schemas'
import {
  approvalResult,
  childResult,
  type EntryResult,
  errorResult,
  nullResult,
  timedOutWait,
  valueResult,
} from './entries.ts'
import { type EventContext, type ExecutionState, ranByWorker } from './execution.ts'
import { unitHash } from './retry.ts'

/** The fold of an execution's events; its invariants are those of the state (execution.ts). */

type DataOf<T extends ExecutionEvent['type']> = Extract<ExecutionEvent, { type: T }>['data']

const requested = (data: DataOf<'ExecutionRequested'>, context: EventContext): ExecutionState => ({
  tenant: context.tenant,
  executionId: data.executionId,
  correlationId: context.correlationId,
  agentId: data.agentId,
  input: data.input,
  requestHash: data.requestHash,
  options: data.options,
  parent: data.parent ?? null,
  seed: data.forkedFrom?.seed ?? null,
  seedUpto: null,
  recordings: data.forkedFrom?.recordings ?? null,
  overrides: data.overrides ?? null,
  requestedAt: context.time,
  status: data.options.concurrency ? 'awaiting_permit' : 'queued',
  attempt: 0,
  worker: null,
  lastWorker: null,
  avoidedWorker: null,
  failedAttempts: 0,
  lostAttempts: 0,
  notBefore: 0,
  resolvedInAttempt: false,
  settled: new Map(),
  open: new Map(),
  waits: new Map(),
  signals: new Map(),
  signalIds: new Set(),
  openChildren: 0,
  abandoned: new Map(),
  generation: 0,
  incidents: 0,
  recovery: null,
  spentMicroCredits: 0,
  reservedMicroCredits: 0,
  permit: data.options.concurrency ? 'awaiting' : 'none',
  delivered: false,
  outcome: null,
})

/**
 * Applies an event; mutates `state` and returns it, so that a journal of 10,000 steps costs what it grows by.
 * @throws RangeError for an event that no decision produces, e.g. the first event of a run that is not its request
 */
export const evolve = (
  state: ExecutionState | undefined,
  event: ExecutionEvent,
  context: EventContext,
): ExecutionState => {
  if (event.type === 'ExecutionRequested') {
    if (state) throw new RangeError('an execution is requested once')
    return requested(event.data, context)
  }
  if (!state) throw new RangeError(`${event.type} came before ExecutionRequested`)
  apply(state, event, context.time)
  return state
}

const apply = (
  state: ExecutionState,
  event: Exclude<ExecutionEvent, { type: 'ExecutionRequested' }>,
  time: number,
): void => {
  switch (event.type) {
    case 'PermitGranted':
      state.permit = 'held'
      if (state.status === 'awaiting_permit') state.status = 'queued'
      return
    case 'ExecutionStarted':
      state.status = 'running'
      state.attempt = event.data.attempt
      state.worker = event.data.workerId
      state.lastWorker = event.data.workerId
      state.avoidedWorker = null
      state.notBefore = 0
      state.resolvedInAttempt = false
      return

    case 'StepStarted': {
      const { path, kind, requestHash, stepAttempt, intent } = event.data
      if (intent) state.reservedMicroCredits += intent.reservedMicroCredits
      state.open.set(path, { type: 'step', path, kind, requestHash, stepAttempt, intent: intent ?? null })
      return
    }
    case 'StepCompleted': {
      const { path, kind, requestHash, output, usage } = event.data
      releaseReserve(state, path)
      state.spentMicroCredits += usage?.costMicroCredits ?? 0
      settle(state, path, kind, requestHash, valueResult(output))
      return
    }
    case 'StepFailed': {
      const { path, kind, requestHash, stepAttempt, error, usage, retryAt } = event.data
      releaseReserve(state, path)
      state.spentMicroCredits += usage?.costMicroCredits ?? 0
      if (retryAt === null) settle(state, path, kind, requestHash, errorResult(error))
      else {
        state.lostAttempts = 0
        state.open.set(path, { type: 'retrying', path, kind, requestHash, stepAttempt: stepAttempt + 1, retryAt })
      }
      return
    }
    case 'StepOutcomeUnknown': {
      const entry = state.open.get(event.data.path)
      if (entry?.type === 'step' && entry.intent) {
        state.open.set(entry.path, { ...entry, type: 'unknown', intent: entry.intent })
      }
      return
    }
    case 'StepOutcomeResolved': {
      const { path, resolution } = event.data
      const entry = state.open.get(path)
      if (entry?.type !== 'unknown') return
      releaseReserve(state, path)
      if (resolution.status === 'retry') {
        const { kind, requestHash, stepAttempt } = entry
        state.open.set(path, {
          type: 'retrying',
          path,
          kind,
          requestHash,
          stepAttempt: stepAttempt + 1,
          retryAt: time,
        })
      } else if (resolution.status === 'completed') {
        // the effect happened and nobody knows what it cost: the worst case is what was reserved for it
        state.spentMicroCredits += entry.intent.reservedMicroCredits
        settle(state, path, entry.kind, entry.requestHash, valueResult(resolution.output))
      } else settle(state, path, entry.kind, entry.requestHash, errorResult(resolution.error))
      wake(state)
      return
    }

    case 'TimerStarted': {
      const { path, requestHash, fireAt } = event.data
      state.open.set(path, { type: 'timer', path, requestHash, fireAt })
      return
    }
    case 'TimerFired':
      settleOpen(state, event.data.path, nullResult)
      wake(state)
      return

    case 'SignalReceived': {
      const { signalId, name, payload } = event.data
      state.signalIds.add(signalId)
      const waiting = state.signals.get(name)
      if (waiting) waiting.push({ signalId, payload })
      else state.signals.set(name, [{ signalId, payload }])
      return
    }
    case 'WaitStarted': {
      const { path, requestHash, name, timeoutAt } = event.data
      state.open.set(path, { type: 'wait', path, requestHash, name, timeoutAt: timeoutAt ?? null })
      const paths = state.waits.get(name)
      if (paths) paths.push(path)
      else state.waits.set(name, [path])
      return
    }
    case 'WaitResolved': {
      const { path, signalId } = event.data
      const entry = state.open.get(path)
      if (entry?.type !== 'wait') return
      removeFrom(state.waits, entry.name, (p) => p === path)
      const signal =
        signalId === undefined ? undefined : removeFrom(state.signals, entry.name, (s) => s.signalId === signalId)
      settleOpen(state, path, signal ? { type: 'signal', ...signal, name: entry.name } : timedOutWait)
      wake(state)
      return
    }

    case 'ApprovalRequested': {
      const { path, requestHash, timeoutAt } = event.data
      state.open.set(path, { type: 'approval', path, requestHash, timeoutAt: timeoutAt ?? null })
      return
    }
    case 'ApprovalDecided': {
      const { path, decision, by, comment } = event.data
      settleOpen(state, path, approvalResult(decision, by, comment))
      wake(state)
      return
    }

    case 'ChildRequested': {
      const { path, requestHash, childId, agentId, input, options } = event.data
      state.open.set(path, { type: 'child', path, requestHash, childId, agentId, input, options })
      state.openChildren++
      return
    }
    case 'ChildFinished': {
      const { path, childId, outcome } = event.data
      if (state.abandoned.delete(childId)) {
        state.openChildren--
        return
      }
      const entry = state.open.get(path)
      if (entry?.type !== 'child' || entry.childId !== childId) return
      state.openChildren--
      if (isTerminal(state.status)) state.open.delete(path)
      else {
        settleOpen(state, path, childResult(childId, outcome))
        wake(state)
      }
      return
    }

    case 'ExecutionSuspended':
      // What settled during the attempt may have crossed with the worker's decision to suspend: such a run is looked at
      // once more rather than put to sleep with a result that nobody saw.
      endAttempt(
        state,
        event.data.reason === 'drained' || state.resolvedInAttempt || !awaitsSomething(state) ? 'queued' : 'suspended',
      )
      return
    case 'AttemptLost':
      // an engine's restart says nothing about the run
      if (event.data.reason !== 'engine_restarted') {
        state.lostAttempts++
        state.notBefore = time + restAfterLossMs(state)
      }
      endAttempt(state, 'queued')
      return
    case 'AttemptFailed':
      state.failedAttempts++
      state.notBefore = event.data.retryAt
      endAttempt(state, 'queued')
      forgetFailedSteps(state, event.data.rerun)
      return
    case 'RecoveryAwaited': {
      const { incident, error, giveUpAt, rerun } = event.data
      endAttempt(state, 'recovering')
      state.incidents = incident
      state.recovery = { incident, error, giveUpAt, rerun: rerun ?? null }
      return
    }
    case 'ExecutionRecovered':
      recover(state, event.data.action, time)
      return
    case 'ExecutionRolledBack':
      rollBack(state, event.data)
      return
    case 'ExecutionPaused':
      endAttempt(state, 'paused')
      return
    case 'ExecutionResumed':
      state.status = readyStatus(state)
      return

    case 'ExecutionCompleted':
      finish(state, { status: 'completed', output: event.data.output })
      return
    case 'ExecutionFailed':
      finish(state, { status: 'failed', error: event.data.error })
      return
    case 'ExecutionCancelled':
      finish(state, {
        status: 'cancelled',
        ...(event.data.reason !== undefined && { reason: event.data.reason }),
      })
      return
    case 'OutcomeDelivered':
      state.delivered = true
      return
    case 'PermitReturned':
      state.permit = 'returned'
      return
  }
}

const lossesWithoutRest = 2
const maxRestMs = 30_000

/**
 * A worker that dies now and then costs no time. A run that loses one attempt after the other may be what kills them: it
 * rests longer and longer, each run for another time, so that it does not take the same neighbours along every time.
 */
const restAfterLossMs = ({ lostAttempts, tenant, executionId }: ExecutionState): number => {
  if (lostAttempts <= lossesWithoutRest) return 0
  const full = Math.min(maxRestMs, 100 * 2 ** (lostAttempts - lossesWithoutRest - 1))
  return Math.round(full * (0.5 + unitHash(`${tenant}/${executionId}~${lostAttempts}`) / 2))
}

const settle = (state: ExecutionState, path: string, kind: string, requestHash: string, result: EntryResult): void => {
  state.open.delete(path)
  state.settled.set(path, { path, kind, requestHash, result })
  state.lostAttempts = 0
}

const settleOpen = (state: ExecutionState, path: string, result: EntryResult): void => {
  const entry = state.open.get(path)
  if (entry) settle(state, path, entry.type, entry.requestHash, result)
}

const releaseReserve = (state: ExecutionState, path: string): void => {
  const entry = state.open.get(path)
  if (entry && (entry.type === 'step' || entry.type === 'unknown') && entry.intent) {
    state.reservedMicroCredits -= entry.intent.reservedMicroCredits
  }
}

/** A result came from outside: a suspended run has something to do again. */
const wake = (state: ExecutionState): void => {
  if (state.status === 'suspended') state.status = 'queued'
  else if (state.status === 'running') state.resolvedInAttempt = true
}

/** Whether any open entry can still wake a suspended run. */
const awaitsSomething = (state: ExecutionState): boolean => {
  for (const entry of state.open.values()) if (entry.type !== 'step') return true
  return false
}

/** Steps that only ran go back to what they were before; intents stay open until a `StepOutcomeUnknown` says so. */
const endAttempt = (state: ExecutionState, next: 'queued' | 'suspended' | 'paused' | 'recovering'): void => {
  state.status = next
  state.worker = null
  for (const entry of state.open.values()) {
    if (entry.type !== 'step' || entry.intent) continue
    if (entry.stepAttempt > 1) state.open.set(entry.path, { ...entry, type: 'retrying', retryAt: 0 })
    else state.open.delete(entry.path)
  }
}

/**
 * A new attempt after a failure runs failed steps anew; with them recorded it could only fail in the same way. A failure to
 * which the code has reacted by asking for more stays: without it, what was recorded after it would fit no replay.
 */
const forgetFailedSteps = (state: ExecutionState, rerun: readonly string[] | undefined): void => {
  for (const path of rerun ?? state.settled.keys()) {
    const entry = state.settled.get(path)
    if (entry?.result.type === 'error' && ranByWorker.has(entry.kind)) state.settled.delete(path)
  }
}

const readyStatus = (state: ExecutionState): 'awaiting_permit' | 'queued' =>
  state.permit === 'awaiting' ? 'awaiting_permit' : 'queued'

const override = (state: ExecutionState, overrides: RunOverrides | undefined): void => {
  if (overrides) state.overrides = mergeOverrides(state.overrides, overrides)
}

const recover = (state: ExecutionState, action: RecoveryAction, time: number): void => {
  if (action.type === 'hold') {
    if (state.recovery) state.recovery = { ...state.recovery, giveUpAt: action.untilMs }
    return
  }
  if (action.type === 'retry') {
    forgetFailedSteps(state, action.rerun ?? state.recovery?.rerun ?? undefined)
    state.notBefore = time + action.delayMs
    state.avoidedWorker = action.avoidWorker ? state.lastWorker : null
    override(state, action.overrides)
  } else if (action.type === 'roll_back') {
    // the roll back itself is an event of its own, just before this one
    state.notBefore = time + action.delayMs
    override(state, action.overrides)
  } else if (action.type === 'settle') {
    const { path, output } = action
    const open = state.open.get(path)
    const earlier = state.settled.get(path) ?? open
    const kind = earlier ? ('kind' in earlier ? earlier.kind : earlier.type) : 'step'
    // as when a person says that it happened: nobody knows what it cost
    if (open?.type === 'unknown') state.spentMicroCredits += open.intent.reservedMicroCredits
    releaseReserve(state, path)
    if (open?.type === 'wait') removeFrom(state.waits, open.name, (waiting) => waiting === path)
    if (open?.type === 'child') state.abandoned.set(open.childId, open)
    // at its place when it has one: what was recorded after the failure stays after it
    if (!state.settled.has(path)) state.open.delete(path)
    const requestHash = earlier?.requestHash ?? anyRequest
    state.settled.set(path, { path, kind, requestHash, result: valueResult(output) })
  }
  state.status = readyStatus(state)
  state.recovery = null
  state.lostAttempts = 0
}

/** The seed of a run stands before everything that the run recorded itself: a path that is not in `settled` is in there. */
const rollBack = (state: ExecutionState, { toPath, generation, overrides }: DataOf<'ExecutionRolledBack'>): void => {
  const ownPoint = toPath !== null && state.settled.has(toPath)
  if (toPath !== null && !ownPoint) state.seedUpto = toPath
  const returned: { name: string; signalId: string; payload: Payload }[] = []
  let behind = !ownPoint
  for (const { path, result } of [...state.settled.values()]) {
    if (behind) {
      state.settled.delete(path)
      if (result.type === 'signal') returned.push(result)
    }
    if (path === toPath) behind = true
  }
  for (const { name, signalId, payload } of returned.reverse()) {
    const later = state.signals.get(name) ?? []
    state.signals.set(name, [{ signalId, payload }, ...later])
  }
  for (const entry of state.open.values()) {
    if (entry.type === 'child') state.abandoned.set(entry.childId, entry)
    // nobody will say any more whether the effect was made and what it cost: the worst case is what was reserved for it
    else if ((entry.type === 'step' || entry.type === 'unknown') && entry.intent) {
      state.spentMicroCredits += entry.intent.reservedMicroCredits
    }
  }
  state.open.clear()
  state.waits.clear()
  state.reservedMicroCredits = 0
  state.worker = null
  state.failedAttempts = 0
  state.lostAttempts = 0
  state.notBefore = 0
  state.generation = generation
  state.recovery = null
  if (state.status !== 'paused') state.status = readyStatus(state)
  override(state, overrides)
}

/** A finished run keeps only what it owes to others: children to stop, an outcome to deliver, a permit to return. */
const finish = (state: ExecutionState, outcome: ExecutionOutcome): void => {
  state.status = outcome.status
  state.outcome = outcome
  state.worker = null
  state.recovery = null
  state.settled.clear()
  state.waits.clear()
  state.signals.clear()
  state.signalIds.clear()
  state.reservedMicroCredits = 0
  for (const entry of state.open.values()) if (entry.type !== 'child') state.open.delete(entry.path)
}

const removeFrom = <T>(queues: Map<string, T[]>, name: string, matches: (item: T) => boolean): T | undefined => {
  const queue = queues.get(name)
  const index = queue?.findIndex(matches) ?? -1
  if (!queue || index < 0) return undefined
  const [item] = queue.splice(index, 1)
  if (queue.length === 0) queues.delete(name)
  return item
}
