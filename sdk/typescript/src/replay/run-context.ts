import {
  type ApprovalValue,
  defaultStepRetry,
  hashJson,
  type JsonValue,
  noRetry,
  OmiumError,
  type RetryPolicy,
  requestHashOf,
  retryPolicy,
  type StepKind,
  type WaitValue,
} from '@omium/schemas'
import type { Logger } from 'pino'
import type { z } from 'zod'
import { issuesOf } from '../agent.ts'
import type { Agent, CallOptions, Context, LlmContext } from '../context.ts'
import { type Duration, durationToMs } from '../duration.ts'
import type { ChatRequest, ChatResult } from '../llm/model.ts'
import { overridden } from '../llm/overrides.ts'
import { usageOf, worstCaseMicroCredits } from '../llm/prices.ts'
import { runToolLoop } from '../llm/tool-loop.ts'
import type { StepInfo, StepOptions } from '../step.ts'
import { ambient } from './ambient.ts'
import { OpenCall, type OpeningBody, type OpenKind } from './open-call.ts'
import { PathScope } from './paths.ts'
import { toPlainJson } from './plain-json.ts'
import type { CallHost } from './port.ts'
import { replayMiss, type Simulated, type Simulation } from './simulation.ts'
import { StepCall, type StepPlan } from './step-call.ts'

type Key = string | number | undefined

/** Providers' rate limits and hiccups last longer than those of most steps. */
const llmRetry: RetryPolicy = { ...defaultStepRetry, maxAttempts: 5, initialDelayMs: 500 }

/** Requests without input are all alike: their hashes are computed once. */
const bareHash = new Map<string, string>()
const hashOf = (kind: string, input: JsonValue | undefined): string => {
  if (input !== undefined) return requestHashOf({ kind, input })
  let hash = bareHash.get(kind)
  if (hash === undefined) {
    hash = requestHashOf({ kind })
    bareHash.set(kind, hash)
  }
  return hash
}

const retryOf = (given: Partial<RetryPolicy> | false | undefined, base: RetryPolicy, name: string): RetryPolicy => {
  if (given === undefined) return base
  if (given === false) return noRetry
  const policy = retryPolicy.safeParse({ ...base, ...given })
  if (!policy.success)
    throw new OmiumError(
      'invalid_request',
      `the retry policy of step "${name}" does not fit: ${issuesOf(policy.error)}`,
    )
  return policy.data
}

/** Refuses a call made from inside a step function: its result would be lost with the step's. */
const refuseInsideStep = (asked: string): void => {
  const inside = ambient.getStore()?.insideStep
  if (inside !== undefined)
    throw new OmiumError(
      'invalid_request',
      `ctx.${asked} was called inside step "${inside}"; steps are leaves: call it before or after the step, or make the step's function a plain function of the agent`,
    )
}

interface StepExtras {
  kind: StepKind
  baseRetry?: RetryPolicy
  intent?: StepPlan['intent']
  reconcile?: StepPlan['reconcile']
}

/** Plans and asks for a step; all steps of every kind come through here. */
const askStep = (
  run: CallHost,
  path: string,
  name: string,
  fn: (info: StepInfo) => unknown,
  options: StepOptions<unknown>,
  extras: StepExtras,
): Promise<JsonValue> => {
  const { kind } = extras
  const { effect } = options
  const input = options.input === undefined ? undefined : toPlainJson(options.input, `the input of step "${name}"`)
  const requestHash = hashOf(kind, input)
  if (run.simulation && (kind === 'step' || kind === 'tool')) {
    return run.ask(
      simulatedCall(run, run.simulation, { path, name, kind, requestHash, input, effect: effect !== undefined }),
    )
  }
  const call = new StepCall(run, {
    path,
    name,
    kind,
    requestHash,
    input,
    fn: (kind === 'step' || kind === 'tool') && run.port.substitute ? run.port.substitute(name, fn) : fn,
    retry: retryOf(options.retry, extras.baseRetry ?? (effect ? noRetry : defaultStepRetry), name),
    timeoutMs: options.timeoutMs,
    intent: extras.intent ?? (effect ? { reserveMicroCredits: 0 } : undefined),
    reconcile: extras.reconcile ?? (typeof effect === 'object' ? effect.reconcile : undefined),
  })
  return run.ask(call)
}

interface SimulatedStep extends Simulated {
  kind: 'step' | 'tool' | Exclude<OpenKind, 'timer'>
  input: JsonValue | undefined
}

/** A step whose function is the recordings: recorded under its own kind, so that another attempt repeats it. */
const simulatedCall = (run: CallHost, simulation: Simulation, step: SimulatedStep): StepCall => {
  const { path, name, kind, requestHash, input } = step
  return new StepCall(run, {
    path,
    name,
    kind,
    requestHash,
    input,
    fn: () => {
      const found = simulation.find(step)
      if (!found) {
        run.fail(replayMiss({ path, kind, requestHash }))
        return new Promise(() => {})
      }
      if (found.error) throw OmiumError.fromFailure({ ...found.error, retryable: false })
      return found.value ?? null
    },
    retry: noRetry,
    timeoutMs: undefined,
    intent: undefined,
    reconcile: undefined,
  })
}

/** A child's id, the same in every attempt of its parent. */
const childIdOf = (executionId: string, path: string): string => `exe_${hashJson([executionId, path]).slice(0, 32)}`

/** The context that user code gets: turns its methods into calls of the run. */
export const createContext = (run: CallHost): Context => {
  const scope = new PathScope()

  const open = (
    method: string,
    kind: OpenKind,
    name: string,
    key: Key,
    request: JsonValue,
    body: (path: string) => OpeningBody,
  ): Promise<JsonValue> => {
    refuseInsideStep(method)
    const path = scope.next(name, key)
    const requestHash = requestHashOf({ kind, request })
    if (run.simulation && kind !== 'timer') {
      const step = { path, name, kind, requestHash, input: request, effect: kind === 'child' }
      return run.ask(simulatedCall(run, run.simulation, step))
    }
    const opening = body(path)
    if (run.simulation && opening.type === 'timer_start') opening.durationMs = 0
    return run.ask(new OpenCall(run, path, kind, requestHash, request, opening))
  }

  const value = <T extends JsonValue>(name: string, fn: () => T): Promise<T> => {
    refuseInsideStep(name)
    const path = scope.next(name)
    return askStep(run, path, name, fn, { retry: false }, { kind: 'value' }) as Promise<T>
  }

  // made when first used: most runs log nothing
  let log: Logger | undefined

  async function step<T>(
    name: string,
    fn: (info: StepInfo) => Promise<T> | T,
    options: StepOptions<T> = {},
  ): Promise<T> {
    refuseInsideStep('step')
    if (name.length === 0 || name.length > 200)
      throw new OmiumError('invalid_request', `a step's name has 1 to 200 characters, not ${name.length}`)
    const path = scope.next(name, options.key)
    return (await askStep(run, path, name, fn, options as StepOptions<unknown>, { kind: 'step' })) as T
  }

  async function call(
    agent: Agent<never, unknown> | string,
    input: unknown,
    options: CallOptions = {},
  ): Promise<JsonValue> {
    const agentId = typeof agent === 'string' ? agent : agent.id
    if (typeof agent !== 'string') run.port.met?.(agent)
    const plain = toPlainJson(input, `the input of agent "${agentId}"`)
    const given = options.options ?? {}
    const request = {
      agentId,
      input: plain,
      options: given as JsonValue,
      ...(options.id !== undefined && { id: options.id }),
    }
    return open('call', 'child', options.name ?? agentId, options.key, request, (path) => ({
      type: 'child_start',
      childId: options.id ?? childIdOf(run.executionId, path),
      agentId,
      input: plain,
      options: given,
    }))
  }

  return {
    executionId: run.executionId,
    attempt: run.attempt,
    get log() {
      log ??= run.port.log.child({ executionId: run.executionId, attempt: run.attempt })
      log.level = run.replaying ? 'silent' : run.port.log.level
      return log
    },
    step,
    call: call as Context['call'],
    async sleep(duration: Duration, options = {}) {
      const durationMs = durationToMs(duration)
      await open('sleep', 'timer', options.name ?? 'sleep', options.key, { durationMs }, () => ({
        type: 'timer_start',
        durationMs,
      }))
    },
    waitFor: (async (signal: string, options: Parameters<Context['waitFor']>[1] = {}) => {
      const { timeoutMs, schema, key, name } = options as {
        timeoutMs?: number
        schema?: z.ZodType
        key?: Key
        name?: string
      }
      const label = name !== undefined ? key : key === undefined ? signal : `${signal}:${key}`
      const request = { name: signal, timeoutMs: timeoutMs ?? null }
      const answered = (await open('waitFor', 'wait', name ?? 'wait', label, request, () => ({
        type: 'wait_start',
        name: signal,
        ...(timeoutMs !== undefined && { timeoutMs }),
      }))) as WaitValue
      if (answered.timedOut)
        throw new OmiumError('wait_timeout', `the signal "${signal}" did not arrive within ${timeoutMs} ms`)
      if (!schema) return answered.payload
      const parsed = await schema.safeParseAsync(answered.payload)
      if (!parsed.success)
        throw new OmiumError('input_invalid', `the signal "${signal}" does not fit: ${issuesOf(parsed.error)}`)
      return parsed.data
    }) as Context['waitFor'],
    async approve(title, { details, timeoutMs, key, name = 'approve' } = {}) {
      const plain = details === undefined ? undefined : toPlainJson(details, `the details of approval "${title}"`)
      const request = { title, details: plain ?? null, timeoutMs: timeoutMs ?? null }
      return (await open('approve', 'approval', name, key, request, () => ({
        type: 'approval_request',
        title,
        ...(plain !== undefined && { details: plain }),
        ...(timeoutMs !== undefined && { timeoutMs }),
      }))) as ApprovalValue
    },
    async checkpoint(name, state, { key } = {}) {
      refuseInsideStep('checkpoint')
      if (name.length === 0 || name.length > 200)
        throw new OmiumError('invalid_request', `a checkpoint's name has 1 to 200 characters, not ${name.length}`)
      const kept = toPlainJson(state, `the state of checkpoint "${name}"`)
      const path = scope.next(name, key)
      await askStep(run, path, name, () => kept, { retry: false }, { kind: 'checkpoint' })
    },
    now: async () => value('now', () => run.port.now()),
    uuid: async () => value('uuid', () => run.port.uuid()),
    random: async () => value('random', () => run.port.random()),
    llm: createLlm(run, scope),
  }
}

const createLlm = (run: CallHost, scope: PathScope): LlmContext => {
  type ChatOptions = NonNullable<Parameters<LlmContext['chat']>[1]>

  const chatIn = async (within: PathScope, request: ChatRequest, options: ChatOptions): Promise<ChatResult> => {
    refuseInsideStep('llm.chat')
    const { prices, complete } = run.port.llm
    const { stream, name = 'chat' } = options
    const path = within.next(name, options.key)
    // a copy: user code may go on building its list of messages while this request waits or is tried again
    const recorded = toPlainJson(request, 'the request to the model') as unknown as ChatRequest
    const show = (text: string) => {
      if (run.closed) return
      run.port.send({ type: 'delta', executionId: run.executionId, attempt: run.attempt, path, text })
      if (typeof stream === 'function') stream(text)
    }
    const fn = async (info: StepInfo): Promise<ChatResult> => {
      const completion = await complete(overridden(recorded, run.overrides), {
        signal: info.signal,
        onDelta: stream ? show : undefined,
        idempotencyKey: info.idempotencyKey,
      })
      const usage = usageOf(prices, completion)
      info.reportUsage(usage)
      const { message, finishReason } = completion
      return { message, content: message.content ?? '', finishReason, usage }
    }
    const stepOptions: StepOptions<unknown> = {
      input: recorded,
      ...(options.retry !== undefined && { retry: options.retry }),
      ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
    }
    const underBudget = run.budgetMicroCredits !== undefined
    return (await askStep(run, path, name, fn, stepOptions, {
      kind: 'llm',
      baseRetry: llmRetry,
      // a completion lost with its worker may have cost money, but has no effect to protect: it is asked for again
      ...(underBudget && {
        intent: { reserveMicroCredits: worstCaseMicroCredits(prices, overridden(recorded, run.overrides)) },
        reconcile: async () => ({ status: 'retry' }) as const,
      }),
    })) as unknown as ChatResult
  }

  return {
    chat: (request, options = {}) => chatIn(scope, request, options),
    async run(request, options = {}) {
      refuseInsideStep('llm.run')
      const within = scope.below(scope.next('tools', options.key))
      return runToolLoop(request, {
        chat: (chat) => chatIn(within, chat, options.stream === undefined ? {} : { stream: options.stream }),
        async toolStep(name, fn, stepOptions) {
          return askStep(run, within.next(name), name, fn, stepOptions, { kind: 'tool' })
        },
      })
    },
  }
}
