import { type JournalEntry, type JsonValue, OmiumError, type Recording, type RunOverrides } from '@omium/schemas'
import type { Agent, AnyAgent } from './context.ts'
import type { ChatRequest, Complete, Completion, PriceTable } from './llm/model.ts'
import { defaultPrices } from './llm/prices.ts'
import { toPlainJson } from './replay/plain-json.ts'
import { type Substitute, TestEngine } from './testing/engine.ts'
import type { AttemptReport, Decision as Recorded } from './testing/execution.ts'

export type { AttemptReport } from './testing/execution.ts'

type Decision = boolean | { approved: boolean; by?: string; comment?: string }

export interface TestRunOptions {
  /** by name of step, tool or child agent: what it gives, or a function that runs instead */
  mocks?: Readonly<Record<string, Substitute>>
  /** signals that have arrived already, by name; an array of payloads delivers several */
  signals?: Readonly<Record<string, unknown>> | readonly { name: string; payload?: unknown }[]
  /** decisions by the approval's title, or for all; without one an approval waits for its timeout */
  approvals?:
    | boolean
    | Readonly<Record<string, Decision>>
    | ((title: string, details: JsonValue | undefined) => Decision | undefined)
  /** agents called by object run inline (default); `'mocked'` lets only `mocks` and `agents` answer */
  children?: 'inline' | 'mocked'
  /** agents that are called by id */
  agents?: readonly AnyAgent[]
  /** answers of the model: texts or completions in order, or a function */
  llm?:
    | readonly (string | Partial<Completion>)[]
    | ((request: ChatRequest) => string | Partial<Completion> | Promise<string | Partial<Completion>>)
  prices?: PriceTable
  /** kills the attempt right after this path, or that many steps, are recorded; each place once */
  crashAfter?: string | number | readonly (string | number)[]
  /** ms since the epoch; 2026-01-01 unless given */
  startTime?: number
  executionId?: string
  /** real time until a run that neither ends nor waits is an error, ms */
  limitMs?: number
  /** what is recorded before the run begins */
  journal?: readonly JournalEntry[]
  /** as a run's on the platform */
  overrides?: RunOverrides
  /** answers everything but model calls and values from these recordings; what they lack is a `replay_miss` */
  simulateFrom?: readonly Recording[]
}

export interface TestRunResult<Output> {
  status: 'completed' | 'failed' | 'waiting'
  /** @throws the run's error, when it did not complete */
  readonly output: Output
  error: OmiumError | undefined
  /** paths that wait for someone outside, when the status is `waiting` */
  waitingFor: readonly string[]
  attempts: readonly AttemptReport[]
  /** how often each step's function ran, by path, over all attempts */
  executions: Readonly<Record<string, number>>
  journal: readonly JournalEntry[]
  /** virtual ms that passed */
  elapsedMs: number
}

const completionOf = (answer: string | Partial<Completion>, request: ChatRequest): Completion => {
  const given = typeof answer === 'string' ? { message: { role: 'assistant' as const, content: answer } } : answer
  return {
    message: { role: 'assistant', content: null },
    finishReason: given.message?.tool_calls ? 'tool_calls' : 'stop',
    model: request.model,
    ...given,
  }
}

const scripted = (llm: TestRunOptions['llm']): Complete => {
  let asked = 0
  return async (request, { onDelta }) => {
    const index = asked++
    const answer = typeof llm === 'function' ? await llm(request) : llm?.[index]
    if (answer === undefined)
      throw new OmiumError('model_auth', `the test has no answer for model call ${index + 1}: give \`llm\` one more`)
    const completion = completionOf(answer, request)
    if (completion.message.content) onDelta?.(completion.message.content)
    return completion
  }
}

const signalsOf = (signals: TestRunOptions['signals']): [string, JsonValue][] => {
  if (!signals) return []
  if (Array.isArray(signals))
    return (signals as readonly { name: string; payload?: unknown }[]).map(({ name, payload }) => [
      name,
      toPlainJson(payload, `the signal "${name}"`),
    ])
  return Object.entries(signals).flatMap(([name, given]) =>
    (Array.isArray(given) ? given : [given]).map((one): [string, JsonValue] => [
      name,
      toPlainJson(one, `the signal "${name}"`),
    ]),
  )
}

const decide = (
  approvals: TestRunOptions['approvals'],
  title: string,
  details: JsonValue | undefined,
): Recorded | undefined => {
  const given =
    typeof approvals === 'function'
      ? approvals(title, details)
      : typeof approvals === 'object'
        ? approvals[title]
        : approvals
  if (given === undefined) return undefined
  if (typeof given === 'boolean') return { approved: given, by: 'test' }
  return {
    approved: given.approved,
    by: given.by ?? 'test',
    ...(given.comment !== undefined && { comment: given.comment }),
  }
}

/** Says yes at each of the given places once. */
const crashPlan = (crashAfter: TestRunOptions['crashAfter']): ((path: string) => boolean) => {
  const left = new Set(crashAfter === undefined ? [] : Array.isArray(crashAfter) ? crashAfter : [crashAfter])
  let recorded = 0
  return (path) => {
    recorded += 1
    return left.delete(path) || left.delete(recorded)
  }
}

/**
 * Runs an agent in this process against an engine that follows the protocol's rules, for the tests of agents: no platform,
 * no real time (sleeps and timeouts of waits are jumped over; only step functions take what they take).
 * @throws OmiumError `timeout` when the run neither ends nor waits within `limitMs` of real time
 */
export const testRun = async <Input, Output>(
  agent: Agent<Input, Output>,
  input: Input,
  options: TestRunOptions = {},
): Promise<TestRunResult<Output>> => {
  const startTimeMs = options.startTime ?? Date.UTC(2026, 0, 1)
  const engine = new TestEngine({
    startTimeMs,
    mocks: options.mocks ?? {},
    agents: options.agents ?? [],
    inlineChildren: options.children !== 'mocked',
    approve: (title, _path, details) => decide(options.approvals, title, details),
    crashesAfter: crashPlan(options.crashAfter),
    llm: { complete: scripted(options.llm), prices: options.prices ?? defaultPrices },
    limitMs: options.limitMs ?? 5000,
  })
  const execution = await engine.execute(
    options.executionId ?? 'test-run',
    agent as AnyAgent,
    toPlainJson(input, 'the input'),
    signalsOf(options.signals),
    { journal: options.journal, overrides: options.overrides, simulateFrom: options.simulateFrom },
  )
  const outcome = execution.outcome ?? { status: 'waiting' as const, waitingFor: [] }
  const error = outcome.status === 'failed' ? OmiumError.fromFailure(outcome.error) : undefined
  const executions: Record<string, number> = {}
  for (const { executed } of execution.attempts)
    for (const path of executed) executions[path] = (executions[path] ?? 0) + 1
  return {
    status: outcome.status,
    get output() {
      if (outcome.status === 'completed') return outcome.output as Output
      throw error ?? new OmiumError('execution_conflict', 'the run has no output: it waits')
    },
    error,
    waitingFor: outcome.status === 'waiting' ? outcome.waitingFor : [],
    attempts: execution.attempts,
    executions,
    journal: execution.journal,
    elapsedMs: engine.clock.now() - startTimeMs,
  }
}
