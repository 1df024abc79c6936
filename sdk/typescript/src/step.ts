import type { OutcomeResolution, RetryPolicy, Usage } from '@omium/schemas'

/** What a step function is given. */
export interface StepInfo {
  /** the same for every try of this step in every attempt of the run; minted by the platform for effects */
  readonly idempotencyKey: string
  /** try of this step, from 1 */
  readonly attempt: number
  /** aborts when the step times out or the attempt is fenced, cancelled or paused */
  readonly signal: AbortSignal
  /** records what this try cost in the event of its result */
  reportUsage(usage: Usage): void
}

/** What a reconciler found out about an effect whose outcome is not known. */
export type Reconciliation<T> =
  | { status: 'completed'; output: T }
  | { status: 'failed'; error: Error }
  | { status: Extract<OutcomeResolution['status'], 'retry'> }

/** Asks the outside world, by the idempotency key, whether the effect happened. */
export type Reconcile<T> = (idempotencyKey: string) => Promise<Reconciliation<T>>

export interface StepOptions<T> {
  /** tells parallel calls of one name apart, whatever order they are made in */
  key?: string | number
  /** part of the recorded request: a replay with another input is a mismatch */
  input?: unknown
  /** over `defaultStepRetry` (three tries; one for effects); `false` for a single try */
  retry?: Partial<RetryPolicy> | false
  timeoutMs?: number
  /** has an effect outside: its intent is recorded first, and it is never blindly tried again after a crash */
  effect?: true | { reconcile?: Reconcile<T> }
}
