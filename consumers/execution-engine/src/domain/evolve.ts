import { childResult, type ExecutionEvent, isTerminal } from '@omium/schemas'
import { grant, releaseReserve, settleGrant, spendReserve } from './budget.ts'
import { approvalResult, errorResult, nullResult, timedOutWait, valueResult } from './entries.ts'
import { type EventContext, type ExecutionState, requested } from './execution.ts'
import { unitHash } from './retry.ts'
import { forgetFailedSteps, recover, rollBack } from './rewind.ts'
import {
  awaitsSomething,
  endAttempt,
  finish,
  readyStatus,
  removeFrom,
  settle,
  settleOpen,
  wake,
} from './transitions.ts'

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
      // the effect happened and nobody knows what it cost
      if (resolution.status === 'completed') spendReserve(state, path)
      else releaseReserve(state, path)
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
      const { path, requestHash, childId, agentId, input, options, overrides } = event.data
      grant(state, { options })
      state.open.set(path, {
        type: 'child',
        path,
        requestHash,
        childId,
        agentId,
        input,
        options,
        overrides: overrides ?? null,
      })
      state.openChildren++
      return
    }
    case 'ChildFinished': {
      const { path, childId, outcome, spentMicroCredits = 0 } = event.data
      const abandoned = state.abandoned.get(childId)
      const entry = abandoned ?? state.open.get(path)
      if (entry?.type !== 'child' || entry.childId !== childId) return
      state.openChildren--
      settleGrant(state, entry, spentMicroCredits)
      if (abandoned) state.abandoned.delete(childId)
      else if (isTerminal(state.status)) state.open.delete(path)
      else {
        settleOpen(state, path, childResult({ childId, outcome }))
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
