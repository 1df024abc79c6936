import {
  defaultStepRetry,
  type Failure,
  type JournalEntry,
  type JsonValue,
  noRetry,
  OmiumError,
  type RecordedKind,
  type RetryPolicy,
  type Usage,
  usage,
} from '@omium/schemas'
import { issuesOf } from '../agent.ts'
import type { Reconcile, Reconciliation, StepInfo } from '../step.ts'
import { type Ambient, ambient } from './ambient.ts'
import { Call } from './call.ts'
import { failureOf, forbidsRetry } from './failures.ts'
import { toPlainJson } from './plain-json.ts'
import type { Ack, CallHost, RunningStep } from './port.ts'
import type { Watched } from './step-watch.ts'

export interface StepPlan {
  path: string
  name: string
  kind: RecordedKind
  requestHash: string
  input: JsonValue | undefined
  fn(info: StepInfo): unknown
  retry: RetryPolicy
  timeoutMs: number | undefined
  /** recorded before `fn` runs; `reserveMicroCredits` is the worst case of what it may cost */
  intent: { reserveMicroCredits: number } | undefined
  reconcile: Reconcile<unknown> | undefined
}

/** What the function gets: a class, as one is made for every step. */
class Info implements StepInfo {
  readonly attempt: number
  readonly #step: StepCall

  constructor(step: StepCall) {
    this.#step = step
    this.attempt = step.currentTry
  }

  get idempotencyKey(): string {
    return this.#step.key
  }

  get signal(): AbortSignal {
    return this.#step.signal
  }

  /** a getter, so that it can be taken out of the info: `({ reportUsage }) => ...` */
  get reportUsage(): (usage: Usage) => void {
    return (usage) => this.#step.report(usage)
  }
}

/** Refusals of a result that the step itself is to blame for: they become its recorded failure. */
const ownFault: readonly string[] = ['payload_too_large', 'output_invalid', 'budget_exceeded', 'invalid_request']

/**
 * A step: runs a function of the user and reports its result.
 *
 * 1. With an intent, the function runs only after the intent is acknowledged, and with the platform's idempotency key.
 * 2. One try has one outcome: what arrives after a timeout or after the attempt's end is dropped.
 * 3. The engine decides about another try; the step waits for its answer.
 * 4. An effect that timed out has an unknown outcome: its reconciler decides, or it fails as `step_outcome_unknown`
 *    without another try.
 */
export class StepCall extends Call implements Watched, Ambient, RunningStep {
  readonly insideStep: string
  private readonly plan: StepPlan
  private stepAttempt = 1
  private idempotencyKey: string | undefined
  private phase: 'idle' | 'intent' | 'running' | 'reported' | 'reconciling' | 'reconciled' = 'idle'
  private tries = 0
  private startedAt = 0
  private usage: Usage | undefined
  private output: JsonValue = null
  /** what was reported last, when that was a failure */
  private failure: Failure | undefined
  private controller: AbortController | undefined
  /** counts reconciliations: a late answer of an earlier one is dropped */
  private reconciliation = 0

  constructor(run: CallHost, plan: StepPlan) {
    super(run, plan.path, plan.kind, plan.requestHash, plan.input)
    this.plan = plan
    this.insideStep = plan.name
  }

  start(): void {
    if (!this.plan.intent) {
      this.execute()
      return
    }
    this.phase = 'intent'
    const { reserveMicroCredits } = this.plan.intent
    this.run.port.send({
      type: 'step_started',
      ...this.head(),
      ...(this.input !== undefined && { input: this.input }),
      intent: { reserveMicroCredits },
    })
  }

  reopen(entry: JournalEntry): void {
    if (entry.status === 'retrying') {
      this.stepAttempt = entry.stepAttempt
      this.phase = 'idle'
      this.run.retryAt(this, entry.retryAt)
    } else if (entry.status === 'unknown') {
      this.stepAttempt = entry.stepAttempt
      this.idempotencyKey = entry.idempotencyKey
      this.reconcile()
    }
  }

  acked(ack: Ack): void {
    if (ack.idempotencyKey !== undefined) this.idempotencyKey = ack.idempotencyKey
    if (ack.entry && ack.entry.status !== 'pending') this.entered(ack.entry)
    else if (this.phase === 'intent') this.execute()
    else if (this.phase === 'reported') this.settle(this.failure ? null : this.output, this.failure)
    else this.run.opened(this)
  }

  /** Somebody else settled a doubt while the reconciler was still looking: what it finds comes too late. */
  override entered(entry: JournalEntry): void {
    if (this.phase === 'reconciling') this.leaveRunning()
    super.entered(entry)
  }

  override nacked(error: Failure): void {
    const mayConcede = this.phase === 'intent' || (this.phase === 'reported' && !this.failure)
    if (mayConcede && ownFault.includes(error.code)) {
      if (this.phase === 'intent') this.startedAt = this.run.port.now()
      this.reportFailure({ ...error, retryable: false }, noRetry)
    } else this.run.refused(error, this.path)
  }

  private isRunning(tryNumber: number): boolean {
    return this.phase === 'running' && this.tries === tryNumber
  }

  markStarted(): void {
    if (this.run.closed || this.plan.intent) return
    const { input } = this
    this.run.port.send({
      type: 'step_started',
      ...this.head(false),
      ...(input !== undefined && { input }),
    })
  }

  timedOut(): void {
    const { name, timeoutMs, intent, kind } = this.plan
    this.leaveRunning()
    const detail = `step "${name}" ran for more than ${timeoutMs} ms`
    this.controller?.abort(new OmiumError('step_timeout', detail))
    if (!intent || kind === 'llm')
      this.reportFailure(new OmiumError('step_timeout', detail).toFailure(), this.plan.retry)
    else if (this.plan.reconcile) this.reconcile()
    else {
      const unknown = `${detail}: it is not known whether its effect happened; give it a reconciler or look it up by hand`
      this.reportFailure(new OmiumError('step_outcome_unknown', unknown).toFailure(), noRetry)
    }
  }

  /** The attempt is over. */
  abort(reason: unknown): void {
    this.run.port.watch.remove(this)
    this.controller?.abort(reason)
  }

  private execute(): void {
    const { run, plan } = this
    this.phase = 'running'
    this.tries += 1
    this.usage = undefined
    this.controller = undefined
    this.startedAt = run.port.now()
    run.running.add(this)
    const tryNumber = this.tries
    try {
      const result = ambient.run(this, plan.fn, new Info(this))
      if (result instanceof Promise || typeof (result as PromiseLike<unknown> | null)?.then === 'function') {
        // what has returned already needs no watch
        run.port.watch.add(this, plan.timeoutMs)
        ;(result as PromiseLike<unknown>).then(
          (value) => this.returned(tryNumber, value),
          (error: unknown) => this.threw(tryNumber, error),
        )
      } else this.returned(tryNumber, result)
    } catch (error) {
      this.threw(tryNumber, error)
    }
  }

  /** minted by the platform for effects, derived for all others; the same in every try and attempt */
  get key(): string {
    return this.idempotencyKey ?? `${this.run.executionId}/${this.path}`
  }

  get currentTry(): number {
    return this.stepAttempt
  }

  get signal(): AbortSignal {
    this.controller ??= new AbortController()
    if (this.run.closed) this.controller.abort(this.run.endReason)
    return this.controller.signal
  }

  report(reported: Usage): void {
    const parsed = usage.safeParse(reported)
    if (!parsed.success)
      throw new OmiumError(
        'invalid_request',
        `step "${this.plan.name}" reported usage that does not fit: ${issuesOf(parsed.error)}`,
      )
    this.usage = parsed.data
  }

  private returned(tryNumber: number, value: unknown): void {
    if (!this.isRunning(tryNumber) || this.run.closed) return
    try {
      this.output = toPlainJson(value, `the output of step "${this.plan.name}"`)
    } catch (error) {
      this.threw(tryNumber, error)
      return
    }
    this.leaveRunning()
    this.reportCompletion()
  }

  private threw(tryNumber: number, error: unknown): void {
    if (!this.isRunning(tryNumber) || this.run.closed) return
    const { name, retry } = this.plan
    this.leaveRunning()
    const retryable = !forbidsRetry(error, retry)
    this.reportFailure(
      failureOf(error, 'step_failed', `step "${name}"`, retryable),
      retryable ? delayedBy(retry, error) : noRetry,
    )
  }

  private leaveRunning(): void {
    this.phase = 'idle'
    this.run.port.watch.remove(this)
    this.run.running.delete(this)
    this.run.schedule()
  }

  private reconcile(): void {
    const { reconcile, name } = this.plan
    const { run, key } = this
    if (!reconcile) {
      run.opened(this)
      return
    }
    const timedOut = this.startedAt > 0
    this.reconciliation += 1
    const current = this.reconciliation
    const isLate = () => run.closed || this.phase !== 'reconciling' || this.reconciliation !== current
    this.phase = 'reconciling'
    run.running.add(this)
    ambient
      .run(this, () => Promise.resolve(key).then(reconcile))
      .then(
        (found) => {
          if (isLate()) return
          this.leaveRunning()
          this.reconciled(found, timedOut)
        },
        (error: unknown) => {
          if (isLate()) return
          this.leaveRunning()
          run.port.log.error(
            { err: error, path: this.path },
            `the reconciler of step "${name}" failed; a human must decide`,
          )
          if (timedOut)
            this.reportFailure(
              failureOf(
                new OmiumError('step_outcome_unknown', `the reconciler of step "${name}" failed`, { cause: error }),
                'step_failed',
                name,
                false,
              ),
              noRetry,
            )
          else run.opened(this)
        },
      )
  }

  /** An outcome in doubt on the log is resolved there; one that this very try left open is simply reported. */
  private reconciled(found: Reconciliation<unknown>, timedOut: boolean): void {
    const { name, retry } = this.plan
    try {
      const output =
        found.status === 'completed' ? toPlainJson(found.output, `the reconciled output of step "${name}"`) : null
      const error =
        found.status === 'failed' ? failureOf(found.error, 'step_failed', `step "${name}"`, false) : undefined
      if (timedOut) {
        this.output = output
        if (found.status === 'completed') this.reportCompletion()
        else if (error) this.reportFailure(error, noRetry)
        else {
          // the reconciler vouches for another try, also where effects have one by default
          const again = retry.maxAttempts > 1 ? retry : defaultStepRetry
          this.reportFailure(new OmiumError('step_timeout', `step "${name}" timed out`).toFailure(), again)
        }
        return
      }
      this.phase = 'reconciled'
      const { executionId, attempt } = this.run
      this.run.port.send({
        type: 'step_reconciled',
        executionId,
        attempt,
        seq: this.run.nextSeq(this),
        path: this.path,
        resolution: error
          ? { status: 'failed', error }
          : found.status === 'completed'
            ? { status: 'completed', output }
            : { status: 'retry' },
      })
    } catch (error) {
      this.reportFailure(failureOf(error, 'step_failed', `step "${name}"`, false), noRetry)
    }
  }

  private reportCompletion(): void {
    this.phase = 'reported'
    this.failure = undefined
    const { run, plan, startedAt } = this
    run.port.send({
      type: 'step_completed',
      executionId: run.executionId,
      attempt: run.attempt,
      seq: run.nextSeq(this),
      path: this.path,
      name: plan.name,
      kind: plan.kind,
      stepAttempt: this.stepAttempt,
      requestHash: this.requestHash,
      input: this.input,
      output: this.output,
      usage: this.usage,
      startedAt,
      durationMs: Math.max(0, run.port.now() - startedAt),
    })
  }

  private reportFailure(error: Failure, retry: RetryPolicy): void {
    this.phase = 'reported'
    this.failure = error
    const { startedAt, usage, input } = this
    this.run.port.send({
      type: 'step_failed',
      ...this.head(),
      ...(input !== undefined && { input }),
      error,
      retry,
      ...(usage && { usage }),
      startedAt,
      durationMs: Math.max(0, this.run.port.now() - startedAt),
    })
  }

  private head(answered = true) {
    const { run, plan } = this
    return {
      executionId: run.executionId,
      attempt: run.attempt,
      seq: run.nextSeq(answered ? this : undefined),
      path: this.path,
      name: plan.name,
      kind: plan.kind,
      stepAttempt: this.stepAttempt,
      requestHash: this.requestHash,
    }
  }
}

/** A provider that said when to come back is asked again no sooner. */
const delayedBy = (retry: RetryPolicy, error: unknown): RetryPolicy => {
  const data = error instanceof OmiumError ? error.data : undefined
  const wait = data && typeof data === 'object' && !Array.isArray(data) ? data['retryAfterMs'] : undefined
  if (typeof wait !== 'number' || wait <= retry.initialDelayMs) return retry
  const initialDelayMs = Math.min(wait, 86_400_000)
  return { ...retry, initialDelayMs, maxDelayMs: Math.max(retry.maxDelayMs, initialDelayMs) }
}
