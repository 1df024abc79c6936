import type { ErrorCode, WorkflowContextEvent } from '@omium/schemas'

/** What was decided. No events mean: it is so already. */
export interface Decided<E = WorkflowContextEvent> {
  readonly status: 'decided'
  readonly events: readonly E[]
}
export interface Refused {
  readonly status: 'refused'
  readonly code: ErrorCode
  readonly detail: string
}
export type Decision<E = WorkflowContextEvent> = Decided<E> | Refused

export const decided = <E>(...events: E[]): Decided<E> => ({ status: 'decided', events })
export const refused = (code: ErrorCode, detail: string): Refused => ({ status: 'refused', code, detail })

/** Keeps the newest so many keys of a plain object whose keys are in the order of insertion. */
export const keepNewest = (entries: Record<string, unknown>, most: number): void => {
  const keys = Object.keys(entries)
  for (let i = 0; i < keys.length - most; i++) delete entries[keys[i] as string]
}
