import {
  type EngineMessage,
  type Failure,
  type JournalEntry,
  type JsonValue,
  noRetry,
  OmiumError,
  type Recording,
  type RetryPolicy,
  type RunOverrides,
  type WorkerMessage,
} from '@omium/schemas'
import type { AnyAgent } from '../context.ts'

export interface AttemptReport {
  attempt: number
  /** paths of the steps whose function ran in this attempt, in the order of their recording */
  executed: string[]
  /** paths that were answered from the journal */
  replayed: string[]
  ended: 'completed' | 'failed' | 'crashed' | 'waiting' | 'running'
}

export type Outcome =
  | { status: 'completed'; output: JsonValue }
  | { status: 'failed'; error: Failure }
  | { status: 'waiting'; waitingFor: string[] }

/** An approval's recorded value; see `approvalValue` of the worker protocol. */
export type Decision = { approved: boolean; by: string; comment?: string }

/** What a run has beside its input. */
export interface Given {
  /** what is recorded before it begins */
  journal?: readonly JournalEntry[] | undefined
  overrides?: RunOverrides | undefined
  /** answers everything but model calls and values */
  simulateFrom?: readonly Recording[] | undefined
  /** instead of the agent's own */
  budgetMicroCredits?: number | undefined
}

interface Clock {
  /** ms since the epoch */
  now(): number
  /** calls back at a time; gives a function that prevents it */
  at(timeMs: number, callback: () => void): () => void
}

/** What an execution asks of the engine around it. */
export interface ExecutionHost {
  clock: Clock
  /** to the run of that attempt, in order */
  deliver(message: EngineMessage): void
  startAttempt(execution: TestExecution): void
  stopAttempt(execution: TestExecution): void
  /** `done` is told what the child has spent, its own children included */
  startChild(message: ChildStart, given: Given, done: (outcome: Outcome, spentMicroCredits: number) => void): void
  /** the budget that an agent names for its runs */
  budgetOf(agentId: string): number | undefined
  approve(title: string, path: string, details: JsonValue | undefined): Decision | undefined
  /** whether the process dies now that this path is recorded */
  crashesAfter(path: string): boolean
}

type RunMessage = Extract<WorkerMessage, { executionId: string }>
type ChildStart = Extract<WorkerMessage, { type: 'child_start' }>
type StepMessage = Extract<RunMessage, { type: 'step_completed' | 'step_failed' }>

const valueLimitBytes = 10 * 1024 * 1024

/** Backoff of a step's next try, without the jitter of the platform. */
const delayOf = (retry: RetryPolicy, stepAttempt: number): number =>
  Math.min(retry.maxDelayMs, retry.initialDelayMs * retry.backoff ** (stepAttempt - 1))

/**
 * An execution as the harness keeps it: the journal and the rules by which the platform's engine answers a worker, without
 * the log, the network and real time. For the tests of users; no part of the product's own path.
 */
export class TestExecution {
  readonly id: string
  readonly agent: AnyAgent
  readonly input: JsonValue
  readonly budgetMicroCredits: number | undefined
  readonly attempts: AttemptReport[] = []
  outcome: Outcome | undefined
  readonly given: Given
  private readonly host: ExecutionHost
  private readonly finished: (outcome: Outcome, spentMicroCredits: number) => void
  private readonly settled: JournalEntry[] = []
  private readonly known = new Map<string, JournalEntry>()
  private readonly intents = new Map<string, number>()
  private readonly signals = new Map<string, JsonValue[]>()
  private readonly waits: { path: string; name: string }[] = []
  private readonly timers = new Map<string, () => void>()
  private spentMicroCredits = 0
  private grantedMicroCredits = 0
  private failedAttempts = 0

  constructor(
    host: ExecutionHost,
    id: string,
    agent: AnyAgent,
    input: JsonValue,
    signals: readonly (readonly [string, JsonValue])[],
    finished: (outcome: Outcome, spentMicroCredits: number) => void,
    given: Given = {},
  ) {
    this.host = host
    this.id = id
    this.agent = agent
    this.input = input
    this.finished = finished
    this.given = given
    for (const entry of given.journal ?? []) this.record(entry)
    this.budgetMicroCredits = given.budgetMicroCredits ?? agent.budgetMicroCredits
    for (const [name, value] of signals) this.signal(name, value)
  }

  get attempt(): number {
    return this.attempts.length
  }

  /** settled entries in the order of their recording, then the open ones */
  get journal(): JournalEntry[] {
    const open = [...this.known.values()].filter((entry) => entry.status !== 'completed' && entry.status !== 'failed')
    return [...this.settled, ...open]
  }

  get assign(): Extract<EngineMessage, { type: 'assign' }> {
    const { overrides, simulateFrom } = this.given
    return {
      type: 'assign',
      executionId: this.id,
      attempt: this.attempt,
      agentId: this.agent.id,
      input: this.input,
      journalEntries: this.journal.length,
      ...(this.budgetMicroCredits !== undefined && { budgetMicroCredits: this.budgetMicroCredits }),
      ...(overrides && { overrides }),
      ...(simulateFrom && { simulate: true, recordings: [...simulateFrom] }),
    }
  }

  begin(): void {
    const journal = this.journal
    const replayed = this.settled.map(({ path }) => path)
    this.attempts.push({ attempt: this.attempt + 1, executed: [], replayed, ended: 'running' })
    this.host.startAttempt(this)
    const ids = { executionId: this.id, attempt: this.attempt }
    this.host.deliver(this.assign)
    this.host.deliver({ type: 'journal', ...ids, entries: journal, last: true })
  }

  signal(name: string, value: JsonValue): void {
    const index = this.waits.findIndex((wait) => wait.name === name)
    const [wait] = index < 0 ? [] : this.waits.splice(index, 1)
    if (wait) this.resolve(wait.path, { timedOut: false, payload: value })
    else this.signals.set(name, [...(this.signals.get(name) ?? []), value])
  }

  /** @param claims how many messages that were sent together, from this one on, draw on the budget */
  receive(message: RunMessage, claims = 1): void {
    if (this.outcome || message.attempt !== this.attempt) return
    switch (message.type) {
      case 'step_started':
        message.intent ? this.intent(message, message.intent.reserveMicroCredits) : undefined
        return
      case 'step_completed':
      case 'step_failed':
        this.stepResult(message)
        return
      case 'step_reconciled':
        this.reconciled(message)
        return
      case 'timer_start':
        this.opening(message, 'timer', message.durationMs, () => null)
        return
      case 'wait_start': {
        const waiting = this.signals.get(message.name)?.shift()
        if (waiting !== undefined) {
          this.answer(message, 'wait', { timedOut: false, payload: waiting })
          return
        }
        this.waits.push({ path: message.path, name: message.name })
        this.opening(message, 'wait', message.timeoutMs, () => {
          const index = this.waits.findIndex((wait) => wait.path === message.path)
          if (index >= 0) this.waits.splice(index, 1)
          return { timedOut: true }
        })
        return
      }
      case 'approval_request': {
        const decision = this.host.approve(message.title, message.path, message.details)
        if (decision) {
          this.answer(message, 'approval', decision)
          return
        }
        this.opening(message, 'approval', message.timeoutMs, () => ({
          approved: false,
          by: 'timeout',
          timedOut: true,
        }))
        return
      }
      case 'child_start':
        this.child(message, claims)
        return
      case 'complete':
        if (this.tooLarge(message)) return
        this.end('completed', { status: 'completed', output: message.output })
        return
      case 'fail':
        this.failed(message.error, message.rerun ?? [])
        return
      case 'abandon':
        this.end('failed', {
          status: 'failed',
          error: new OmiumError('worker_lost', message.detail).toFailure(),
        })
        return
      case 'waiting':
      case 'suspend':
      case 'delta':
        return
    }
  }

  /** The process of the attempt died: what it did not have recorded is lost, open intents are in doubt. */
  crash(): void {
    const report = this.attempts.at(-1)
    if (report) report.ended = 'crashed'
    this.host.stopAttempt(this)
    for (const [path] of this.intents) {
      const entry = this.known.get(path)
      if (entry?.status === 'pending')
        this.known.set(path, {
          path,
          requestHash: entry.requestHash,
          kind: entry.kind,
          status: 'unknown',
          stepAttempt: 1,
          idempotencyKey: this.keyOf(path),
        })
    }
    this.begin()
  }

  /** Nothing can happen any more without someone outside. */
  giveUp(): void {
    const waitingFor = this.journal
      .filter(({ status }) => status === 'pending' || status === 'unknown')
      .map(({ path }) => path)
    const report = this.attempts.at(-1)
    if (report) report.ended = 'waiting'
    this.outcome = { status: 'waiting', waitingFor }
    this.host.stopAttempt(this)
    this.finished(this.outcome, this.spentMicroCredits)
  }

  private keyOf(path: string): string {
    return `${this.id}/${path}`
  }

  private get left(): number {
    if (this.budgetMicroCredits === undefined) return Number.POSITIVE_INFINITY
    const reserved = [...this.intents.values()].reduce((sum, part) => sum + part, 0)
    return this.budgetMicroCredits - this.spentMicroCredits - reserved - this.grantedMicroCredits
  }

  private child(message: ChildStart, claims: number): void {
    const { path, agentId, options } = message
    const left = Math.max(0, this.left)
    const asked = options.budgetMicroCredits ?? this.host.budgetOf(agentId)
    const share = left === Number.POSITIVE_INFINITY ? undefined : Math.floor(left / claims)
    const budgetMicroCredits = asked === undefined ? share : Math.min(asked, left)
    const granted = share === undefined ? 0 : (budgetMicroCredits ?? 0)
    this.grantedMicroCredits += granted
    this.opening(message, 'child', undefined, () => null)
    const { overrides } = this.given
    this.host.startChild(message, { overrides, budgetMicroCredits }, (outcome, spentMicroCredits) => {
      this.grantedMicroCredits -= granted
      this.spentMicroCredits += spentMicroCredits
      if (outcome.status === 'completed') this.resolve(path, outcome.output)
      else if (outcome.status === 'failed') this.resolveFailed(path, childFailure(agentId, outcome.error))
    })
  }

  private intent(message: Extract<RunMessage, { type: 'step_started' }>, reserve: number): void {
    const { path, kind, requestHash, seq } = message
    const { left } = this
    if (reserve > left) {
      const detail = `"${path}" may cost ${reserve} micro-credits; ${left} of the budget are left`
      this.nack(seq, new OmiumError('budget_exceeded', detail).toFailure())
      return
    }
    this.intents.set(path, reserve)
    this.known.set(path, { path, kind, requestHash, status: 'pending' })
    this.ack(seq, undefined, this.keyOf(path))
  }

  private stepResult(message: StepMessage): void {
    if (message.type === 'step_completed' && this.tooLarge(message)) return
    const { path, kind, requestHash, seq } = message
    this.attempts.at(-1)?.executed.push(path)
    this.intents.delete(path)
    this.spentMicroCredits += message.usage?.costMicroCredits ?? 0
    const base = { path, kind, requestHash }
    if (message.type === 'step_completed') {
      this.record({ ...base, status: 'completed', value: message.output })
      this.crashOr(path, () => this.ack(seq))
      return
    }
    const { error, retry, stepAttempt } = message
    const again = error.retryable && stepAttempt < retry.maxAttempts
    const entry: JournalEntry = again
      ? {
          ...base,
          status: 'retrying',
          stepAttempt: stepAttempt + 1,
          retryAt: this.host.clock.now() + delayOf(retry, stepAttempt),
        }
      : { ...base, status: 'failed', error }
    if (again) this.known.set(path, entry)
    else this.record(entry)
    this.crashOr(path, () => this.ack(seq, entry))
  }

  /** Whether the platform would refuse the value: then it is refused here, too. */
  private tooLarge({ seq, output }: { seq: number; output: JsonValue }): boolean {
    const size = Buffer.byteLength(JSON.stringify(output))
    if (size <= valueLimitBytes) return false
    const detail = `the value has ${size} bytes, ${valueLimitBytes} are allowed; store it elsewhere and pass a reference`
    this.nack(seq, new OmiumError('payload_too_large', detail).toFailure())
    return true
  }

  private reconciled({ path, seq, resolution }: Extract<RunMessage, { type: 'step_reconciled' }>): void {
    const entry = this.known.get(path)
    if (entry?.status !== 'unknown') {
      this.nack(seq, new OmiumError('outcome_not_unknown', `the outcome of "${path}" is not in doubt`).toFailure())
      return
    }
    const base = { path, kind: entry.kind, requestHash: entry.requestHash }
    this.intents.delete(path)
    if (resolution.status === 'retry') {
      const again: JournalEntry = {
        ...base,
        status: 'retrying',
        stepAttempt: entry.stepAttempt + 1,
        retryAt: this.host.clock.now(),
      }
      this.known.set(path, again)
      this.ack(seq, again)
      return
    }
    const settled: JournalEntry =
      resolution.status === 'completed'
        ? { ...base, status: 'completed', value: resolution.output }
        : { ...base, status: 'failed', error: resolution.error }
    this.record(settled)
    this.ack(seq, settled)
  }

  private opening(
    message: { path: string; requestHash: string; seq: number },
    kind: string,
    afterMs: number | undefined,
    expired: () => JsonValue,
  ): void {
    const { path, requestHash } = message
    this.known.set(path, { path, requestHash, kind, status: 'pending' })
    if (afterMs !== undefined) {
      const { clock } = this.host
      this.timers.set(
        path,
        clock.at(clock.now() + afterMs, () => this.resolve(path, expired())),
      )
    }
    this.ack(message.seq)
  }

  private answer(message: { path: string; requestHash: string; seq: number }, kind: string, value: JsonValue): void {
    const { path, requestHash } = message
    const entry: JournalEntry = { path, requestHash, kind, status: 'completed', value }
    this.record(entry)
    this.crashOr(path, () => this.ack(message.seq, entry))
  }

  private resolve(path: string, value: JsonValue): void {
    const entry = this.known.get(path)
    if (entry) this.settleOpen({ path, kind: entry.kind, requestHash: entry.requestHash, status: 'completed', value })
  }

  private resolveFailed(path: string, error: Failure): void {
    const entry = this.known.get(path)
    if (entry) this.settleOpen({ path, kind: entry.kind, requestHash: entry.requestHash, status: 'failed', error })
  }

  private settleOpen(entry: JournalEntry): void {
    if (this.outcome || this.known.get(entry.path)?.status !== 'pending') return
    this.timers.get(entry.path)?.()
    this.timers.delete(entry.path)
    this.record(entry)
    this.crashOr(entry.path, () =>
      this.host.deliver({ type: 'resolve', executionId: this.id, attempt: this.attempt, entry }),
    )
  }

  private record(entry: JournalEntry): void {
    this.known.set(entry.path, entry)
    this.settled.push(entry)
  }

  /** a failed step that the next attempt runs anew */
  private forget(path: string): void {
    const index = this.settled.findIndex((entry) => entry.path === path && entry.status === 'failed')
    if (index < 0 || !['step', 'llm', 'tool', 'value', 'checkpoint'].includes(this.settled[index]?.kind ?? '')) return
    this.settled.splice(index, 1)
    this.known.delete(path)
  }

  private crashOr(path: string, goOn: () => void): void {
    if (this.host.crashesAfter(path)) this.crash()
    else goOn()
  }

  private failed(error: Failure, rerun: readonly string[]): void {
    const retry = this.agent.definition.defaults?.retry ?? noRetry
    this.failedAttempts += 1
    if (!error.retryable || this.failedAttempts >= retry.maxAttempts) {
      this.end('failed', { status: 'failed', error })
      return
    }
    const report = this.attempts.at(-1)
    if (report) report.ended = 'failed'
    for (const path of rerun) this.forget(path)
    this.host.stopAttempt(this)
    const { clock } = this.host
    clock.at(clock.now() + delayOf(retry, this.failedAttempts), () => this.begin())
  }

  private end(ended: 'completed' | 'failed', outcome: Outcome): void {
    const report = this.attempts.at(-1)
    if (report) report.ended = ended
    this.outcome = outcome
    for (const cancel of this.timers.values()) cancel()
    this.host.stopAttempt(this)
    this.finished(outcome, this.spentMicroCredits)
  }

  private ack(seq: number, entry?: JournalEntry, idempotencyKey?: string): void {
    this.host.deliver({
      type: 'ack',
      executionId: this.id,
      attempt: this.attempt,
      seq,
      ...(entry && { entry }),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
    })
  }

  private nack(seq: number, error: Failure): void {
    this.host.deliver({ type: 'nack', executionId: this.id, attempt: this.attempt, seq, error })
  }
}

/** See the engine's rule for what comes at one time. */
export const draws = (message: RunMessage): boolean =>
  message.type === 'child_start' || (message.type === 'step_started' && (message.intent?.reserveMicroCredits ?? 0) > 0)

const childFailure = (agentId: string, error: Failure): Failure => ({
  code: 'child_failed',
  detail: `agent "${agentId}" failed: ${error.code}: ${error.detail}`.slice(0, 8192),
  retryable: false,
  ...(error.cause && { cause: error.cause }),
})
