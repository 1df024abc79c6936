import { AsyncLocalStorage } from 'node:async_hooks'
import type { CallHost } from './port.ts'

/** Whose code is running: of a run, and of which of its steps. */
export interface Ambient {
  readonly run: CallHost
  /** set inside a step function */
  readonly insideStep: string | undefined
}

/** Lets an unhandled rejection find its run, and a call of ctx inside a step function be refused. */
export const ambient = new AsyncLocalStorage<Ambient>()
