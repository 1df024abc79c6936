import type { ApprovalValue, JsonValue, OutcomeResolution, RetryPolicy, Usage } from '@omium/schemas'
import type { Logger } from 'pino'
import type { z } from 'zod'
import type { Agent, RunOptions } from './agent.ts'
import type { Duration } from './duration.ts'
import type { ChatRequest, ChatResult, ToolLoopRequest, ToolLoopResult } from './llm/model.ts'

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

export interface CallOptions {
  key?: string | number
  /** id of the child execution; by default one that is derived from this run and step */
  id?: string
  options?: RunOptions
}

/** The journaled world of one run. A method called inside a step function throws: steps are leaves. */
export interface Context {
  readonly executionId: string
  /** attempt of this execution, from 1 */
  readonly attempt: number
  /** silent while recorded history is replayed */
  readonly log: Logger

  /**
   * Runs `fn` once and records its result; a replay answers from the record. The result is what JSON keeps of it
   * (`undefined` becomes `null`).
   * @throws OmiumError `step_failed`, `step_timeout`, `output_invalid`, `step_outcome_unknown`; `cause` has the user's error
   */
  step<T>(name: string, fn: (info: StepInfo) => Promise<T> | T, options?: StepOptions<T>): Promise<T>
  /** Runs another agent as a child execution and gives its output. @throws OmiumError `child_failed` */
  call<Input, Output>(agent: Agent<Input, Output>, input: Input, options?: CallOptions): Promise<Output>
  call(agentId: string, input: unknown, options?: CallOptions): Promise<JsonValue>
  /** Durable: the run holds no process while it sleeps. */
  sleep(duration: Duration, options?: { key?: string | number }): Promise<void>
  /** Payload of the next unread signal of that name. @throws OmiumError `wait_timeout`, `input_invalid` */
  waitFor<Schema extends z.ZodType>(
    signal: string,
    options: { schema: Schema; timeoutMs?: number; key?: string | number },
  ): Promise<z.output<Schema>>
  waitFor(signal: string, options?: { timeoutMs?: number; key?: string | number }): Promise<JsonValue>
  /** Asks a human. A refusal or a timeout is an answer (`approved: false`), not an error. */
  approve(
    title: string,
    options?: { details?: unknown; timeoutMs?: number; key?: string | number },
  ): Promise<ApprovalValue>
  /** Recorded clock, ms since the epoch. */
  now(): Promise<number>
  /** Recorded random UUID (version 4). */
  uuid(): Promise<string>
  /** Recorded random number, 0 <= n < 1. */
  random(): Promise<number>
  readonly llm: LlmContext
}

export interface LlmContext {
  /** One recorded completion of an OpenAI-compatible model. @throws OmiumError of the `model_*` codes, `budget_exceeded` */
  chat(
    request: ChatRequest,
    options?: {
      key?: string | number
      stream?: true | ((delta: string) => void)
      retry?: Partial<RetryPolicy> | false
      timeoutMs?: number
    },
  ): Promise<ChatResult>
  /** Calls the model and the tools that it asks for, until it answers; every completion and every tool call is recorded. */
  run(
    request: ToolLoopRequest,
    options?: { key?: string | number; stream?: true | ((delta: string) => void) },
  ): Promise<ToolLoopResult>
}
