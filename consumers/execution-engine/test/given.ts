import type { ExecutionCommand, ExecutionEvent, ExecutionOptions, StepKind } from '@omium/schemas'
import { decideCommand } from '../src/domain/decide.ts'
import type { Decision } from '../src/domain/decision.ts'
import { evolve } from '../src/domain/evolve.ts'
import type { ExecutionState } from '../src/domain/execution.ts'
import { decideRequest, type WorkerRequest } from '../src/domain/requests.ts'

/** The vocabulary of the domain's specs: given(events).when(command).then(events). */

export const now = 1_700_000_000_000
const context = { tenant: 'ten_a', correlationId: 'cor_1', time: now }

export const requestedWith = (options: Partial<ExecutionOptions> = {}): ExecutionEvent => ({
  type: 'ExecutionRequested',
  data: {
    executionId: 'run-1',
    agentId: 'planner',
    input: { inline: 1 },
    requestHash: 'h',
    options: { priority: 0, ...options },
  },
})
export const startedAs = (attempt: number): ExecutionEvent => ({
  type: 'ExecutionStarted',
  data: { attempt, workerId: `w${attempt}` },
})
export const start = (requestHash = 'h'): ExecutionCommand => ({
  type: 'StartExecution',
  data: { executionId: 'run-1', agentId: 'planner', input: { inline: 1 }, requestHash, options: { priority: 0 } },
})

const stepOf = (path: string, stepAttempt: number) => ({
  path,
  name: path.split('#')[0] ?? path,
  kind: 'step' as StepKind,
  stepAttempt,
  requestHash: `hash-of-${path}`,
})
const took = { startedAt: now, durationMs: 5 }
export const flaky = { maxAttempts: 3, initialDelayMs: 100, backoff: 2, maxDelayMs: 1000, jitter: 0, nonRetryable: [] }

export const completedStep = (path: string, output: unknown, stepAttempt = 1, costMicroCredits = 0): WorkerRequest => ({
  type: 'step_completed',
  ...stepOf(path, stepAttempt),
  output: { inline: output as never },
  usage: { costMicroCredits },
  ...took,
})
export const failedStep = (path: string, stepAttempt = 1, retryable = true): WorkerRequest => ({
  type: 'step_failed',
  ...stepOf(path, stepAttempt),
  error: { code: 'step_failed', detail: 'boom', retryable },
  retry: flaky,
  ...took,
})
export const startedStep = (path: string, reserveMicroCredits?: number, stepAttempt = 1): WorkerRequest => ({
  type: 'step_started',
  ...stepOf(path, stepAttempt),
  ...(reserveMicroCredits !== undefined && { intent: { reserveMicroCredits } }),
})
const at = (path: string) => ({ path, requestHash: `hash-of-${path}` })
export const timer = (path: string, durationMs: number): WorkerRequest => ({
  type: 'timer_start',
  ...at(path),
  durationMs,
})
export const waitFor = (path: string, name: string, timeoutMs?: number): WorkerRequest => ({
  type: 'wait_start',
  ...at(path),
  name,
  timeoutMs,
})
export const approval = (path: string, timeoutMs?: number): WorkerRequest => ({
  type: 'approval_request',
  ...at(path),
  title: 'Send it?',
  timeoutMs,
})
export const child = (
  path: string,
  childId: string,
  options: Partial<ExecutionOptions> = {},
  claims = 1,
): WorkerRequest => ({
  type: 'child_start',
  ...at(path),
  childId,
  agentId: 'researcher',
  input: { inline: 'topic' },
  options: { priority: 0, ...options },
  claims,
})
export const signal = (signalId: string, name: string, payload: unknown = null): ExecutionCommand => ({
  type: 'SignalExecution',
  data: { signalId, name, payload: { inline: payload as never } },
})

export const foldAll = (
  events: readonly ExecutionEvent[],
  times: readonly number[] = [],
): ExecutionState | undefined => {
  let state: ExecutionState | undefined
  for (const [i, event] of events.entries()) state = evolve(state, event, { ...context, time: times[i] ?? now })
  return state
}

/** A run with its history, to which commands and requests are put one after the other. */
export class Story {
  readonly events: ExecutionEvent[] = []
  readonly times: number[] = []
  nowMs = now

  constructor(...events: ExecutionEvent[]) {
    for (const event of events) this.record(event)
  }

  private record(event: ExecutionEvent): void {
    this.events.push(event)
    this.times.push(this.nowMs)
  }

  get state(): ExecutionState {
    const state = foldAll(this.events, this.times)
    if (!state) throw new Error('the run was never requested')
    return state
  }

  /** applies what was decided */
  take(decision: Decision): Decision {
    if (decision.status === 'decided') for (const event of decision.events) this.record(event)
    return decision
  }

  command(command: ExecutionCommand, by = 'key:k'): Decision {
    return this.take(decideCommand(foldAll(this.events, this.times), command, by, this.nowMs))
  }

  ask(request: WorkerRequest, attempt = this.state.attempt): Decision {
    return this.take(decideRequest(foldAll(this.events, this.times), attempt, request, this.nowMs))
  }

  after(ms: number): this {
    this.nowMs += ms
    return this
  }

  /** does something and returns the story, for chains */
  with(...steps: (WorkerRequest | ExecutionCommand | ExecutionEvent)[]): this {
    for (const step of steps) {
      if (!('data' in step)) this.ask(step)
      else if (/Execution$|^DecideApproval$|^Resolve|^Deliver|^Grant/.test(step.type))
        this.command(step as ExecutionCommand)
      else this.record(step as ExecutionEvent)
    }
    return this
  }
}

export const given = (...events: ExecutionEvent[]): Story => new Story(...events)
export const running = (options: Partial<ExecutionOptions> = {}): Story => given(requestedWith(options), startedAs(1))
export const typesOf = (decision: Decision): string[] =>
  decision.status === 'decided' ? decision.events.map((event) => event.type) : [decision.code]
