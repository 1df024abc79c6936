import type { AgentDefinition, ApprovalValue, ExecutionOptions, JsonValue, RetryPolicy } from '@omium/schemas'
import type { Logger } from 'pino'
import type { z } from 'zod'
import type { Duration } from './duration.ts'
import type { ChatRequest, ChatResult, ToolLoopRequest, ToolLoopResult } from './llm/model.ts'
import type { StepInfo, StepOptions } from './step.ts'

/** What a start may set for a run; see `executionOptions` of @omium/schemas for units and limits. */
export type RunOptions = { [K in keyof ExecutionOptions]?: Exclude<ExecutionOptions[K], undefined> }

/** A durable workflow. `Input` is what a start takes, `Output` what its result gives. */
export interface Agent<Input, Output> {
  readonly id: string
  /** how the worker announces it to the platform */
  readonly definition: AgentDefinition
  /** Budget of a run unless its start names another, millionths of a credit. */
  readonly budgetMicroCredits: number | undefined
  /** Checks the input and runs the workflow. @throws OmiumError `input_invalid` */
  execute(input: JsonValue, ctx: Context): Promise<Output>
  /** carries the types; never present at run time */
  readonly types?: { input: Input; output: Output }
}

/** An agent whose types do not matter: what a worker holds many of. */
export type AnyAgent = Agent<never, unknown> | Agent<unknown, unknown>
export type AgentInput<A> = A extends Agent<infer Input, unknown> ? Input : unknown
export type AgentOutput<A> = A extends Agent<never, infer Output> ? Output : unknown

export interface CallOptions {
  key?: string | number
  /** what the call is called in paths; the agent's id unless given */
  name?: string
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
  sleep(duration: Duration, options?: { key?: string | number; name?: string }): Promise<void>
  /** Payload of the next unread signal of that name. @throws OmiumError `wait_timeout`, `input_invalid` */
  waitFor<Schema extends z.ZodType>(
    signal: string,
    options: { schema: Schema; timeoutMs?: number; key?: string | number; name?: string },
  ): Promise<z.output<Schema>>
  waitFor(signal: string, options?: { timeoutMs?: number; key?: string | number; name?: string }): Promise<JsonValue>
  /** Asks a human. A refusal or a timeout is an answer (`approved: false`), not an error. */
  approve(
    title: string,
    options?: { details?: unknown; timeoutMs?: number; key?: string | number; name?: string },
  ): Promise<ApprovalValue>
  /**
   * Keeps a state under a name, as it is at this moment, for people and for other programs; a replay keeps it no second
   * time. Found under the run's id by the API and `omium checkpoints ls <run>`. @throws OmiumError `output_invalid`
   */
  checkpoint(name: string, state: unknown, options?: { key?: string | number }): Promise<void>
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
      /** what the step is called; `chat` unless given */
      name?: string
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
