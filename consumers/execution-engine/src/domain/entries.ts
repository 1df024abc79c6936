import type { ExecutionOptions, Failure, Payload, RunOverrides } from '@omium/schemas'

/**
 * What a run has recorded at a path. Entries are immutable values: a change replaces the entry, so that a journal taken
 * from the maps stays what it was while the run goes on.
 */

/** `signal` is a received signal's payload, which user code sees wrapped as a wait's value. */
export type EntryResult =
  | { readonly type: 'value'; readonly payload: Payload }
  | { readonly type: 'signal'; readonly payload: Payload; readonly signalId: string; readonly name: string }
  | { readonly type: 'error'; readonly error: Failure }

export interface SettledEntry {
  readonly path: string
  readonly kind: string
  readonly requestHash: string
  readonly result: EntryResult
}

interface OpenBase {
  readonly path: string
  readonly requestHash: string
}

export interface Intent {
  readonly idempotencyKey: string
  readonly reservedMicroCredits: number
}

export interface OpenStep extends OpenBase {
  readonly type: 'step'
  readonly kind: string
  readonly stepAttempt: number
  readonly intent: Intent | null
}
export interface RetryingStep extends OpenBase {
  readonly type: 'retrying'
  readonly kind: string
  /** the try that comes next */
  readonly stepAttempt: number
  readonly retryAt: number
}
export interface UnknownStep extends OpenBase {
  readonly type: 'unknown'
  readonly kind: string
  readonly stepAttempt: number
  readonly intent: Intent
}
export interface OpenTimer extends OpenBase {
  readonly type: 'timer'
  readonly fireAt: number
}
export interface OpenWait extends OpenBase {
  readonly type: 'wait'
  readonly name: string
  readonly timeoutAt: number | null
}
export interface OpenApproval extends OpenBase {
  readonly type: 'approval'
  readonly timeoutAt: number | null
}
export interface OpenChild extends OpenBase {
  readonly type: 'child'
  readonly childId: string
  readonly agentId: string
  readonly input: Payload
  readonly options: ExecutionOptions
  readonly overrides: RunOverrides | null
}
export type OpenEntry = OpenStep | RetryingStep | UnknownStep | OpenTimer | OpenWait | OpenApproval | OpenChild

const value = (payload: Payload): EntryResult => ({ type: 'value', payload })

export const nullResult: EntryResult = value({ inline: null })
export const valueResult = value
export const errorResult = (error: Failure): EntryResult => ({ type: 'error', error })
export const timedOutWait: EntryResult = value({ inline: { timedOut: true } })

export const approvalResult = (
  decision: 'approved' | 'rejected' | 'timed_out',
  by: string,
  comment: string | undefined,
): EntryResult =>
  value({
    inline: {
      approved: decision === 'approved',
      by,
      ...(comment !== undefined && { comment }),
      ...(decision === 'timed_out' && { timedOut: true }),
    },
  })

/** How somebody decided an approval; null when nobody did before its time was over. */
export const decisionIn = ({ result }: SettledEntry): 'approved' | 'rejected' | null => {
  if (result.type !== 'value' || !('inline' in result.payload)) return null
  const { approved, timedOut } = result.payload.inline as { approved?: boolean; timedOut?: boolean }
  return timedOut ? null : approved ? 'approved' : 'rejected'
}
