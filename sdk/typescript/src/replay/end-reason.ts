import { OmiumError } from '@omium/schemas'

export type EndReason =
  | 'completed'
  | 'failed'
  | 'suspended'
  | 'cancelled'
  | 'paused'
  | 'timed_out'
  | 'fenced'
  | 'abandoned'

/** What steps are told that still run when their attempt is over. */
export const attemptOver = (reason: EndReason, attempt: string): OmiumError => {
  const code =
    reason === 'cancelled' ? 'execution_cancelled' : reason === 'timed_out' ? 'execution_timeout' : 'attempt_fenced'
  return new OmiumError(code, `${attempt} is over: ${reason}`)
}
