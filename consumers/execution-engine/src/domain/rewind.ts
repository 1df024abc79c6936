import type { Payload, RecoveryAction, RunOverrides } from '@omium/schemas'
import { anyRequest, mergeOverrides } from '@omium/schemas'
import { releaseReserve, spendReserve, spendReserves } from './budget.ts'
import { valueResult } from './entries.ts'
import type { DataOf, ExecutionState } from './execution.ts'
import { readyStatus, removeFrom } from './transitions.ts'

/** kinds of entries that the worker's code makes; the others come from outside */
export const ranByWorker: ReadonlySet<string> = new Set(['step', 'llm', 'tool', 'value', 'checkpoint'])

/**
 * A new attempt after a failure runs failed steps anew; with them recorded it could only fail in the same way. A failure to
 * which the code has reacted by asking for more stays: without it, what was recorded after it would fit no replay.
 */
export const forgetFailedSteps = (state: ExecutionState, rerun: readonly string[] | undefined): void => {
  for (const path of rerun ?? state.settled.keys()) {
    const entry = state.settled.get(path)
    if (entry?.result.type === 'error' && ranByWorker.has(entry.kind)) state.settled.delete(path)
  }
}

const override = (state: ExecutionState, overrides: RunOverrides | undefined): void => {
  if (overrides) state.overrides = mergeOverrides(state.overrides, overrides)
}

export const recover = (state: ExecutionState, action: RecoveryAction, time: number): void => {
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
    if (open?.type === 'unknown') spendReserve(state, path)
    else releaseReserve(state, path)
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
export const rollBack = (
  state: ExecutionState,
  { toPath, generation, overrides }: DataOf<'ExecutionRolledBack'>,
): void => {
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
  for (const entry of state.open.values()) if (entry.type === 'child') state.abandoned.set(entry.childId, entry)
  // nobody will say any more whether the effects in doubt were made
  spendReserves(state)
  state.open.clear()
  state.waits.clear()
  state.worker = null
  state.failedAttempts = 0
  state.lostAttempts = 0
  state.notBefore = 0
  state.generation = generation
  state.recovery = null
  if (state.status !== 'paused') state.status = readyStatus(state)
  override(state, overrides)
}
