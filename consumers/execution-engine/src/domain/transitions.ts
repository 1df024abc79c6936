import type { ExecutionOutcome } from '@omium/schemas'
import { spendReserves } from './budget.ts'
import type { EntryResult } from './entries.ts'
import type { ExecutionState } from './execution.ts'

export const settle = (
  state: ExecutionState,
  path: string,
  kind: string,
  requestHash: string,
  result: EntryResult,
): void => {
  state.open.delete(path)
  state.settled.set(path, { path, kind, requestHash, result })
  state.lostAttempts = 0
}

export const settleOpen = (state: ExecutionState, path: string, result: EntryResult): void => {
  const entry = state.open.get(path)
  if (entry) settle(state, path, entry.type, entry.requestHash, result)
}

/** A result came from outside: a suspended run has something to do again. */
export const wake = (state: ExecutionState): void => {
  if (state.status === 'suspended') state.status = 'queued'
  else if (state.status === 'running') state.resolvedInAttempt = true
}

/** Whether any open entry can still wake a suspended run. */
export const awaitsSomething = (state: ExecutionState): boolean => {
  for (const entry of state.open.values()) if (entry.type !== 'step') return true
  return false
}

/** Steps that only ran go back to what they were before; intents stay open until a `StepOutcomeUnknown` says so. */
export const endAttempt = (state: ExecutionState, next: 'queued' | 'suspended' | 'paused' | 'recovering'): void => {
  state.status = next
  state.worker = null
  for (const entry of state.open.values()) {
    if (entry.type !== 'step' || entry.intent) continue
    if (entry.stepAttempt > 1) state.open.set(entry.path, { ...entry, type: 'retrying', retryAt: 0 })
    else state.open.delete(entry.path)
  }
}

export const readyStatus = (state: ExecutionState): 'awaiting_permit' | 'queued' =>
  state.permit === 'awaiting' ? 'awaiting_permit' : 'queued'

/** A finished run keeps only what it owes to others: children to stop, an outcome to deliver, a permit to return. */
export const finish = (state: ExecutionState, outcome: ExecutionOutcome): void => {
  state.status = outcome.status
  state.outcome = outcome
  state.worker = null
  state.recovery = null
  state.settled.clear()
  state.waits.clear()
  state.signals.clear()
  state.signalIds.clear()
  spendReserves(state)
  for (const entry of state.open.values()) if (entry.type !== 'child') state.open.delete(entry.path)
}

export const removeFrom = <T>(queues: Map<string, T[]>, name: string, matches: (item: T) => boolean): T | undefined => {
  const queue = queues.get(name)
  const index = queue?.findIndex(matches) ?? -1
  if (!queue || index < 0) return undefined
  const [item] = queue.splice(index, 1)
  if (queue.length === 0) queues.delete(name)
  return item
}
