import type { EngineMessage, Failure, JournalEntry, JsonValue, RunOverrides, WorkerMessage } from '@omium/schemas'
import type { Logger } from 'pino'
import type { AnyAgent } from '../context.ts'
import type { LlmSettings } from '../llm/model.ts'
import type { StepInfo } from '../step.ts'
import type { Asked } from './mismatch.ts'
import type { Simulation } from './simulation.ts'
import type { StepWatch } from './step-watch.ts'

export type Ack = Extract<EngineMessage, { type: 'ack' }>

/** Whoever waits for the answer of one request. */
export interface Requester {
  acked(ack: Ack): void
  /** the request changed nothing; fenced attempts never get here */
  nacked(error: Failure): void
}

/** A call of user code, as its run sees it. */
export interface PendingCall extends Asked {
  readonly promise: Promise<JsonValue>
  readonly fulfil: (value: JsonValue) => void
  readonly reject: (error: unknown) => void
  /** its result is in the release queue or was released */
  settled: boolean
  /** Does it for the first time. */
  start(): void
  /** Goes on from an entry that is `retrying` or `unknown`; never called before the replay is over. */
  reopen(entry: JournalEntry): void
  /** What the engine says about it, live. */
  entered(entry: JournalEntry): void
}

/** A step whose function runs. */
export interface RunningStep {
  /** the attempt is over */
  abort(reason: unknown): void
}

/** A run, as its host sees it. */
export interface HostedRun {
  readonly executionId: string
  readonly waiting: boolean
  /** set while the host keeps it on its list of turns */
  scheduled: boolean
  turn(): void
  suspend(reason: 'waiting' | 'drained'): void
}

/** A run, as its calls see it. */
export interface CallHost {
  readonly executionId: string
  readonly attempt: number
  readonly port: RunPort
  readonly budgetMicroCredits: number | undefined
  /** what model calls that are really made do otherwise than the code says */
  readonly overrides: RunOverrides | undefined
  /** set when nothing but model calls and values may be made */
  readonly simulation: Simulation | undefined
  readonly running: Set<RunningStep>
  /** user code has ended, or the attempt has: nothing new counts */
  readonly closed: boolean
  readonly endReason: string | undefined
  readonly replaying: boolean
  /** asks for another turn */
  schedule(): void
  /** Enters a call: answers it from the journal, or does it now, or holds it until the replay is over. */
  ask(call: PendingCall): Promise<JsonValue>
  /** Number of the next request; its answer goes to `requester`. */
  nextSeq(requester: Requester | undefined): number
  /** Puts a result into the release queue. */
  settled(path: string, value: JsonValue, failure: Failure | undefined): void
  /** The call waits for a `resolve`. */
  opened(call: PendingCall): void
  reopenWhenLive(call: PendingCall, entry: JournalEntry): void
  retryAt(call: PendingCall, atMs: number): void
  /** The engine refused a request for a reason that no step can carry. */
  refused(error: Failure, path: string): void
  /** Ends the attempt with an error. */
  fail(error: unknown): void
}

/** What a run needs from whoever hosts it: the worker, or the test harness. */
export interface RunPort {
  /** hands a message to the engine, in order; never throws */
  send(message: WorkerMessage): void
  /** `run.turn()` is to be called once, in a later macrotask */
  schedule(run: HostedRun): void
  /** the run is over for this process */
  finished(run: HostedRun): void
  /** nothing of the run can go on until something resolves */
  waiting(run: HostedRun): void
  /** ms since the epoch */
  now(): number
  /** calls back after `ms`; gives a function that prevents it */
  after(ms: number, callback: () => void): () => void
  uuid(): string
  /** 0 <= n < 1 */
  random(): number
  /** what runs in a step's place, in tests */
  substitute?(name: string, fn: (info: StepInfo) => unknown): (info: StepInfo) => unknown
  /** nothing is made that is not recorded: it ends the run with `replay_miss` */
  readonly hermetic?: true
  /** a child is about to be called by its agent, not only by its id */
  met?(agent: AnyAgent): void
  readonly watch: StepWatch
  readonly log: Logger
  readonly llm: LlmSettings
}
