import type { ErrorCode, ExecutionEvent } from '@omium/schemas'
import type { ExecutionState } from './execution.ts'
import type { RecordedEntry } from './journal.ts'

/** What was decided. No events mean: it is so already. */
export interface Decided<E = ExecutionEvent> {
  readonly status: 'decided'
  readonly events: readonly E[]
  /** for a worker: what its code gets at once */
  readonly entry?: RecordedEntry
  readonly idempotencyKey?: string
}
export interface Refused {
  readonly status: 'refused'
  readonly code: ErrorCode
  readonly detail: string
}
export type Decision<E = ExecutionEvent> = Decided<E> | Refused

export const decided = (...events: ExecutionEvent[]): Decided => ({ status: 'decided', events })
export const refused = (code: ErrorCode, detail: string): Refused => ({ status: 'refused', code, detail })
export const nothingToDecide: Decided<never> = { status: 'decided', events: [] }

/** An attempt ends: the effects that it began and did not finish are from now on in doubt. */
export const intentsInDoubt = (state: ExecutionState): ExecutionEvent[] => {
  const events: ExecutionEvent[] = []
  if (state.worker === null) return events
  for (const entry of state.open.values()) {
    if (entry.type !== 'step' || !entry.intent) continue
    const { idempotencyKey } = entry.intent
    events.push({
      type: 'StepOutcomeUnknown',
      data: { path: entry.path, idempotencyKey, lostAttempt: state.attempt },
    })
  }
  return events
}
