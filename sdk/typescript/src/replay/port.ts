import type { WorkerMessage } from '@omium/schemas'
import type { Logger } from 'pino'
import type { AnyAgent } from '../agent.ts'
import type { StepInfo } from '../context.ts'
import type { LlmSettings } from '../llm/model.ts'
import type { Run } from './run.ts'
import type { StepWatch } from './step-watch.ts'

/** What a run needs from whoever hosts it: the worker, or the test harness. */
export interface RunPort {
  /** hands a message to the engine, in order; never throws */
  send(message: WorkerMessage): void
  /** `run.turn()` is to be called once, in a later macrotask */
  schedule(run: Run): void
  /** the run is over for this process */
  finished(run: Run): void
  /** nothing of the run can go on until something resolves */
  waiting(run: Run): void
  /** ms since the epoch */
  now(): number
  /** calls back after `ms`; gives a function that prevents it */
  after(ms: number, callback: () => void): () => void
  uuid(): string
  /** 0 <= n < 1 */
  random(): number
  /** what runs in a step's place, in tests */
  substitute?(name: string, fn: (info: StepInfo) => unknown): (info: StepInfo) => unknown
  /** a child is about to be called by its agent, not only by its id */
  met?(agent: AnyAgent): void
  readonly watch: StepWatch
  readonly log: Logger
  readonly llm: LlmSettings
}
