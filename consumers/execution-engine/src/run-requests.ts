import type { Failure, JsonValue, Payload } from '@omium/schemas'
import { executionOptions, inlineLimitBytes, OmiumError } from '@omium/schemas'
import type { Dispatcher } from './dispatcher.ts'
import { failureOf, loseAttempt } from './domain/decide.ts'
import type { Decided } from './domain/decision.ts'
import { decideRequest, type WorkerRequest } from './domain/requests.ts'
import { onBehalfOf } from './hosted-partition.ts'
import { openEntry } from './hydration.ts'
import type { LiveRun } from './live-run.ts'
import type { EngineMeasures, LiveOutput, RunMessage } from './ports.ts'
import type { Recorder } from './recorder.ts'

/**
 * What workers say about the runs they hold.
 *
 * 1. Requests of one run are decided in the order in which they came, also when storing a large value takes a while.
 * 2. A request is acknowledged after its events are accepted; answers leave in the order of the log.
 * 3. A refusal changes nothing. One that fences the attempt ends it for this worker.
 * 4. A child that wants a share of its parent's budget waits for {@link gatherMs}, and all requests of the run behind it: what
 *    code asks for at one time need not come in one frame, and is to be shared out together.
 */
type Request = Extract<RunMessage, { seq: number }>

/** what code asks for at one time arrives within so long */
export const gatherMs = 20

export class RunRequests {
  readonly #recorder: Recorder
  readonly #dispatcher: Dispatcher
  readonly #liveOutput: LiveOutput
  readonly #measures: EngineMeasures
  readonly #nowMs: () => number
  readonly #delay: (ms: number) => Promise<void>
  readonly #cannotOpen: (run: LiveRun, error: unknown) => void

  constructor(port: {
    recorder: Recorder
    dispatcher: Dispatcher
    liveOutput: LiveOutput
    measures: EngineMeasures
    nowMs: () => number
    delay: (ms: number) => Promise<void>
    cannotOpen: (run: LiveRun, error: unknown) => void
  }) {
    this.#recorder = port.recorder
    this.#dispatcher = port.dispatcher
    this.#liveOutput = port.liveOutput
    this.#measures = port.measures
    this.#nowMs = port.nowMs
    this.#delay = port.delay
    this.#cannotOpen = port.cannotOpen
  }

  /** @param large whether a value in the message may exceed what travels inside a record */
  handle(run: LiveRun, message: RunMessage, large: boolean): void {
    const cameAt = this.#nowMs()
    if (drawsOnBudget(message)) run.claims++
    run.incoming.run(() => {
      if (!('seq' in message)) {
        this.#remark(run, message)
        return
      }
      if (cameAt < run.gatheringUntil || !this.#wantsShare(run, message)) return this.#take(run, message, large)
      run.gatheringUntil = this.#nowMs() + gatherMs
      return this.#delay(gatherMs).then(() => this.#take(run, message, large))
    })
  }

  #take(run: LiveRun, message: Request, large: boolean): Promise<void> | undefined {
    const { claims } = run
    if (drawsOnBudget(message)) run.claims--
    if (large) {
      return this.#seal(run, message, claims).then(
        (request) => this.#decide(run, message, request),
        (error: unknown) => this.#refuse(run, message, asFailure(error)),
      )
    }
    this.#decide(run, message, this.#inlined(run, message, claims))
    return undefined
  }

  /** Invariant 4. */
  #wantsShare(run: LiveRun, message: Request): boolean {
    if (message.type !== 'child_start' || message.options.budgetMicroCredits !== undefined) return false
    if (run.partition.execution(run.aggregate)?.options.budgetMicroCredits === undefined) return false
    const definition = this.#dispatcher.definitionOf(run.session.tenant, message.agentId)
    return definition?.defaults?.budgetMicroCredits === undefined
  }

  #remark(run: LiveRun, message: Exclude<RunMessage, Request>): void {
    if (run.ended) return
    if (message.type === 'delta') {
      const { path, attempt, text } = message
      this.#liveOutput.publish(run.session.tenant, run.executionId, { path, attempt, text })
    } else if (message.type === 'waiting') {
      run.session.setWaiting(run, true)
      this.#dispatcher.fill(run.session)
    } else if (message.type === 'abandon') {
      const { partition, aggregate } = run
      const state = partition.execution(aggregate)
      const decision = state && loseAttempt(state, 'reported_by_worker', this.#nowMs(), message.detail)
      if (state && decision?.status === 'decided') {
        const by = onBehalfOf(state, `worker:${run.session.workerId}`)
        void this.#recorder.record(partition, aggregate, decision.events, by).catch(ignore)
      }
    }
  }

  #decide(run: LiveRun, message: Request, request: WorkerRequest): void {
    const { partition, aggregate, session } = run
    if (run.ended || !partition.live) {
      this.#refuse(run, message, failureOf('attempt_fenced', `attempt ${run.attempt} of ${run.executionId} has ended`))
      return
    }
    if (message.seq <= run.lastSeq) {
      const detail = `request ${message.seq} came after request ${run.lastSeq}; seq counts up`
      this.#refuse(run, message, failureOf('protocol_violation', detail))
      return
    }
    run.lastSeq = message.seq
    if (message.type !== 'suspend') session.setWaiting(run, false)
    const state = partition.execution(aggregate)
    const decision = decideRequest(state, message.attempt, request, this.#nowMs())
    if (decision.status === 'refused' || !state) {
      const failure =
        decision.status === 'refused'
          ? failureOf(decision.code, decision.detail)
          : failureOf('attempt_fenced', 'the execution is closed')
      this.#refuse(run, message, failure)
      return
    }
    const acknowledge = (): void => this.#acknowledge(run, message, decision)
    if (decision.events.length === 0) {
      partition.whenAccepted(acknowledge)
      return
    }
    const by = onBehalfOf(state, `worker:${session.workerId}`)
    const options = decision.entry ? { answered: decision.entry.path } : {}
    this.#recorder.record(partition, aggregate, decision.events, by, options).then(acknowledge, (error: unknown) => {
      // a lost partition is told to the worker by `stop`; anything else is about this request
      if (partition.live) this.#refuse(run, message, asFailure(error))
    })
  }

  #acknowledge(run: LiveRun, message: Request, decision: Decided): void {
    const { entry, idempotencyKey } = decision
    const { executionId, attempt, session } = run
    // the marker of a long step asks for nothing
    if (message.type === 'step_started' && !message.intent) return
    if (!entry && run.outgoing.idle) {
      session.link.ack(executionId, attempt, message.seq, undefined, idempotencyKey)
      if (run.ended) session.confirmDrained()
      return
    }
    run.outgoing.run(() => {
      const opened = entry && openEntry(entry, run.payloads)
      if (!(opened instanceof Promise)) {
        session.link.ack(executionId, attempt, message.seq, opened, idempotencyKey)
        if (run.ended) session.confirmDrained()
        return
      }
      return opened.then(
        (journalEntry) => session.link.ack(executionId, attempt, message.seq, journalEntry, idempotencyKey),
        (error: unknown) => this.#cannotOpen(run, error),
      )
    })
  }

  #refuse(run: LiveRun, message: Request, failure: Failure): void {
    this.#measures.requestRefused(failure.code)
    if (message.type === 'step_started' && !message.intent && failure.code !== 'attempt_fenced') return
    run.partition.whenAccepted(() =>
      run.outgoing.run(() => {
        run.session.link.nack(run.executionId, run.attempt, message.seq, failure)
        return undefined
      }),
    )
  }

  /** The message as a request of the domain. A child is started as a client would start it: with its agent's defaults. */
  #inlined(run: LiveRun, message: Request, claims: number): WorkerRequest {
    const request = inlined(message, claims)
    if (message.type !== 'child_start' || request.type !== 'child_start') return request
    const defaults = this.#dispatcher.definitionOf(run.session.tenant, message.agentId)?.defaults
    return defaults ? { ...request, options: executionOptions.parse({ ...defaults, ...message.options }) } : request
  }

  async #seal(run: LiveRun, message: Request, claims: number): Promise<WorkerRequest> {
    const { executionId } = run
    const { tenant } = run.session
    const seal = (value: JsonValue): Promise<Payload> => run.payloads.seal(tenant, executionId, value)
    const request = this.#inlined(run, message, claims)
    switch (request.type) {
      case 'step_started':
        return { ...request, ...(request.input && { input: await seal(inlineValue(request.input)) }) }
      case 'step_completed': {
        const output = await seal(inlineValue(request.output))
        return { ...request, output, ...(request.input && { input: await seal(inlineValue(request.input)) }) }
      }
      case 'step_failed': {
        const error = boundFailure(request.error)
        return { ...request, error, ...(request.input && { input: await seal(inlineValue(request.input)) }) }
      }
      case 'step_reconciled': {
        const { resolution } = request
        if (resolution.status === 'retry') return request
        if (resolution.status === 'failed') {
          return { ...request, resolution: { status: 'failed', error: boundFailure(resolution.error) } }
        }
        const output = await seal(inlineValue(resolution.output))
        return { ...request, resolution: { status: 'completed', output } }
      }
      case 'approval_request':
        return { ...request, ...(request.details && { details: await seal(inlineValue(request.details)) }) }
      case 'child_start':
        return { ...request, input: await seal(inlineValue(request.input)) }
      case 'complete':
        return { ...request, output: await seal(inlineValue(request.output)) }
      case 'fail':
        return { ...request, error: boundFailure(request.error) }
      default:
        return request
    }
  }
}

const asFailure = (error: unknown): Failure =>
  error instanceof OmiumError ? error.toFailure() : failureOf('internal', String(error))

const drawsOnBudget = (message: RunMessage): boolean =>
  message.type === 'child_start' || (message.type === 'step_started' && (message.intent?.reserveMicroCredits ?? 0) > 0)

const inlineValue = (payload: Payload): JsonValue => ('inline' in payload ? payload.inline : null)

/** A failure whose extras would not fit a record loses them; code and detail stay. */
const boundFailure = (failure: Failure): Failure => {
  if (JSON.stringify(failure).length <= inlineLimitBytes) return failure
  const { code, detail, retryable, cause } = failure
  return {
    code,
    detail,
    retryable,
    ...(cause && { cause: { name: cause.name.slice(0, 200), message: cause.message.slice(0, 2000) } }),
  }
}

/** The message as a request of the domain, its values inside the record. */
const inlined = (message: Request, claims: number): WorkerRequest => {
  switch (message.type) {
    case 'step_started': {
      const { type, path, name, kind, stepAttempt, requestHash, input, intent } = message
      return { type, path, name, kind, stepAttempt, requestHash, input: optional(input), intent }
    }
    case 'step_completed': {
      const { type, path, name, kind, stepAttempt, requestHash, input, output, usage, startedAt, durationMs } = message
      return {
        type,
        path,
        name,
        kind,
        stepAttempt,
        requestHash,
        input: optional(input),
        output: { inline: output },
        usage,
        startedAt,
        durationMs,
      }
    }
    case 'step_failed': {
      const { type, path, name, kind, stepAttempt, requestHash, input, error, retry, usage, startedAt, durationMs } =
        message
      return {
        type,
        path,
        name,
        kind,
        stepAttempt,
        requestHash,
        input: optional(input),
        error,
        retry,
        usage,
        startedAt,
        durationMs,
      }
    }
    case 'step_reconciled': {
      const { type, path, resolution } = message
      return resolution.status === 'completed'
        ? { type, path, resolution: { status: 'completed', output: { inline: resolution.output } } }
        : { type, path, resolution }
    }
    case 'timer_start':
    case 'wait_start':
    case 'suspend':
    case 'fail':
      return message
    case 'approval_request': {
      const { type, path, requestHash, title, details, timeoutMs } = message
      return { type, path, requestHash, title, details: optional(details), timeoutMs }
    }
    case 'child_start': {
      const { type, path, requestHash, childId, agentId, input, options } = message
      return {
        type,
        path,
        requestHash,
        childId,
        agentId,
        input: { inline: input },
        options: executionOptions.parse(options),
        claims,
      }
    }
    case 'complete':
      return { type: message.type, output: { inline: message.output } }
  }
}

const optional = (value: JsonValue | undefined): Payload | undefined =>
  value === undefined ? undefined : { inline: value }

const ignore = (): void => {}
