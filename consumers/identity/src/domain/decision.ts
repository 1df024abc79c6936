import type { ErrorCode, IdentityContextEvent } from '@omium/schemas'

/** What was decided. No events mean: it is so already. */
interface Decided<E = IdentityContextEvent> {
  readonly status: 'decided'
  readonly events: readonly E[]
}
/** `events` are recorded all the same: a refusal may reveal something that has to have consequences. */
interface Refused<E = IdentityContextEvent> {
  readonly status: 'refused'
  readonly code: ErrorCode
  readonly detail: string
  readonly events: readonly E[]
}
export type Decision<E = IdentityContextEvent> = Decided<E> | Refused<E>

export const decided = <E>(...events: E[]): Decision<E> => ({ status: 'decided', events })
export const refused = <E>(code: ErrorCode, detail: string, ...events: E[]): Decision<E> => ({
  status: 'refused',
  code,
  detail,
  events,
})

/** What a decision may go by beside the state: who asks (`key:<id>`, `user:<id>`, `system`) and the owner's clock. */
export interface Asked {
  readonly actor: string
  readonly nowMs: number
}
