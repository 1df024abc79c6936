import type { Failure } from '../errors.ts'
import type { JsonValue, Payload } from '../json.ts'
import { anyRequest, type JournalEntry } from '../worker-protocol.ts'
import type { ExecutionEvent } from './events.ts'
import { mergeOverrides, type RecoveryAction, type RunOverrides, stepKind, type Usage } from './model.ts'

/**
 * The results that a run has recorded, as another run takes them over.
 *
 * 1. Entries come in the order of settlement, which is the order in which user code got them.
 * 2. Only settled entries: what is open is not recorded yet.
 * 3. A failed attempt, a recovery and a roll back forget what the engine forgets (see its domain).
 */
export type SettledResult =
  | { readonly type: 'value'; readonly payload: Payload }
  /** the payload of a signal, which user code sees as a wait's value */
  | { readonly type: 'signal'; readonly payload: Payload }
  | { readonly type: 'error'; readonly error: Failure }

export interface SettledEntry {
  readonly path: string
  readonly kind: string
  readonly requestHash: string
  readonly result: SettledResult
  readonly name: string
  readonly input: Payload | undefined
  /** it has an effect outside: its intent was recorded before it was made */
  readonly effect: boolean
  /** over all tries */
  readonly usage: Usage
  /** of the last try, ms since the epoch */
  readonly startedAt: number
  readonly durationMs: number
  readonly childId: string | undefined
}

/** Something that was begun and has no result that counts. */
export type Opened = Omit<SettledEntry, 'result' | 'durationMs'>

const ranByWorker: ReadonlySet<string> = new Set(stepKind.options)
const inline = (value: unknown): SettledResult => ({ type: 'value', payload: { inline: value as null } })
const nameOf: Readonly<Record<string, string>> = { timer: 'sleep', wait: 'wait', approval: 'approve' }

type StepData = Extract<ExecutionEvent, { type: 'StepFailed' | 'StepCompleted' }>['data']

/** Collects entries from a run's events, given in order. */
export class JournalCollector {
  readonly #settled = new Map<string, SettledEntry>()
  readonly #open = new Map<string, Opened>()
  readonly #signals = new Map<string, Payload>()
  /** results that this run itself took over from another; they come before its own */
  seed: Payload | undefined
  /** the last of those that still counts after a roll back; undefined: all of them */
  seedUpto: string | undefined
  /** what the run's model calls do otherwise than its code says, as it was last told */
  overrides: RunOverrides | undefined
  /** what ran its last attempt */
  runtime: string | undefined
  #rerun: readonly string[] | undefined
  /** first tries that were begun and never told of: the engine forgets them with their attempt */
  readonly #begun = new Set<string>()

  get entries(): SettledEntry[] {
    return [...this.#settled.values()]
  }

  get open(): Opened[] {
    return [...this.#open.values()]
  }

  /** @param at when the event was recorded, ms since the epoch */
  add(event: ExecutionEvent, at = 0): void {
    switch (event.type) {
      case 'ExecutionRequested':
        this.seed = event.data.forkedFrom?.seed
        this.overrides = event.data.overrides
        return
      case 'ExecutionStarted':
        this.runtime = event.data.runtime
        return
      case 'StepStarted': {
        const { path, name, kind, requestHash, input, intent, stepAttempt } = event.data
        const earlier = this.#open.get(path)
        if (intent === undefined && stepAttempt === 1) this.#begun.add(path)
        else this.#begun.delete(path)
        this.#open.set(path, {
          path,
          name,
          kind,
          requestHash,
          input: input ?? earlier?.input,
          effect: earlier?.effect === true || (intent !== undefined && kind !== 'llm'),
          usage: earlier?.usage ?? {},
          startedAt: at,
          childId: undefined,
        })
        return
      }
      case 'TimerStarted':
        this.#opened(event.data, 'timer', at)
        return
      case 'WaitStarted':
        this.#opened(event.data, 'wait', at)
        return
      case 'ApprovalRequested':
        this.#opened(event.data, 'approval', at, event.data.details)
        return
      case 'ChildRequested':
        this.#opened(event.data, 'child', at, event.data.input)
        return
      case 'StepCompleted':
        this.#settle(this.#tried(event.data), { type: 'value', payload: event.data.output }, event.data.durationMs)
        return
      case 'StepFailed': {
        const tried = this.#tried(event.data)
        if (event.data.retryAt === null)
          this.#settle(tried, { type: 'error', error: event.data.error }, event.data.durationMs)
        else {
          this.#begun.delete(event.data.path)
          this.#open.set(event.data.path, tried)
        }
        return
      }
      case 'StepOutcomeResolved': {
        const { path, resolution } = event.data
        if (resolution.status === 'completed') this.#close(path, { type: 'value', payload: resolution.output }, at)
        if (resolution.status === 'failed') this.#close(path, { type: 'error', error: resolution.error }, at)
        return
      }
      case 'TimerFired':
        this.#close(event.data.path, inline(null), at)
        return
      case 'SignalReceived':
        this.#signals.set(event.data.signalId, event.data.payload)
        return
      case 'WaitResolved': {
        const { path, signalId } = event.data
        const payload = signalId === undefined ? undefined : this.#signals.get(signalId)
        this.#close(path, payload ? { type: 'signal', payload } : inline({ timedOut: true }), at)
        return
      }
      case 'ApprovalDecided': {
        const { path, decision, by, comment } = event.data
        const value = {
          approved: decision === 'approved',
          by,
          ...(comment !== undefined && { comment }),
          ...(decision === 'timed_out' && { timedOut: true }),
        }
        this.#close(path, inline(value), at)
        return
      }
      case 'ChildFinished':
        // not one that a roll back abandoned
        if (this.#open.get(event.data.path)?.childId === event.data.childId) {
          this.#close(event.data.path, childResult(event.data), at)
        }
        return
      case 'AttemptFailed':
        this.#forgetFailedSteps(event.data.rerun)
        return
      case 'RecoveryAwaited':
        this.#rerun = event.data.rerun
        return
      case 'ExecutionRecovered':
        this.#recover(event.data.action, at)
        return
      case 'ExecutionRolledBack':
        this.#rollBack(event.data.toPath)
        this.#override(event.data.overrides)
        return
      default:
        return
    }
  }

  #opened(
    { path, requestHash, agentId, childId }: { path: string; requestHash: string; agentId?: string; childId?: string },
    kind: string,
    startedAt: number,
    input?: Payload,
  ): void {
    const name = agentId ?? nameOf[kind] ?? kind
    this.#begun.delete(path)
    this.#open.set(path, { path, name, kind, requestHash, input, effect: false, usage: {}, startedAt, childId })
  }

  /** The step with what this try adds to what is known of it. */
  #tried({ path, name, kind, requestHash, input, usage, startedAt }: StepData): Opened {
    const earlier = this.#open.get(path)
    return {
      path,
      name,
      kind,
      requestHash,
      input: input ?? earlier?.input,
      effect: earlier?.effect ?? false,
      usage: sumOf(earlier?.usage, usage),
      startedAt,
      childId: undefined,
    }
  }

  #forgetFailedSteps(rerun: readonly string[] | undefined): void {
    for (const path of rerun ?? this.#settled.keys()) {
      const entry = this.#settled.get(path)
      if (entry?.result.type === 'error' && ranByWorker.has(entry.kind)) this.#settled.delete(path)
    }
  }

  #recover(action: RecoveryAction, at: number): void {
    if (action.type === 'retry') {
      this.#forgetFailedSteps(action.rerun ?? this.#rerun)
      this.#override(action.overrides)
    }
    if (action.type === 'roll_back') this.#override(action.overrides)
    if (action.type !== 'settle') return
    const { path, output } = action
    const known = this.#settled.get(path) ?? this.#open.get(path)
    const result: SettledResult = { type: 'value', payload: output }
    const unasked = this.#begun.delete(path) && { kind: 'step', requestHash: anyRequest }
    this.#open.delete(path)
    this.#settled.set(path, {
      path,
      name: path.split(/[#/]/)[0] ?? path,
      kind: 'step',
      requestHash: anyRequest,
      input: undefined,
      effect: false,
      usage: {},
      startedAt: at,
      durationMs: 0,
      childId: undefined,
      ...known,
      ...unasked,
      result,
    })
  }

  #rollBack(toPath: string | null): void {
    let behind = toPath === null || !this.#settled.has(toPath)
    if (toPath !== null && behind) this.seedUpto = toPath
    for (const path of [...this.#settled.keys()]) {
      if (behind) this.#settled.delete(path)
      if (path === toPath) behind = true
    }
    this.#begun.clear()
    this.#open.clear()
  }

  #override(overrides: RunOverrides | undefined): void {
    if (overrides) this.overrides = mergeOverrides(this.overrides, overrides)
  }

  #close(path: string, result: SettledResult, at: number): void {
    const opened = this.#open.get(path)
    if (opened) this.#settle(opened, result, Math.max(0, at - opened.startedAt))
  }

  #settle(opened: Opened, result: SettledResult, durationMs: number): void {
    const { path } = opened
    this.#begun.delete(path)
    this.#open.delete(path)
    this.#settled.delete(path)
    this.#settled.set(path, { ...opened, result, durationMs })
  }
}

const sumOf = (a: Usage | undefined, b: Usage | undefined): Usage => {
  if (!a || !b) return a ?? b ?? {}
  const total: Usage = { ...a, ...b }
  for (const part of ['inputTokens', 'outputTokens', 'costMicroCredits'] as const) {
    if (a[part] !== undefined || b[part] !== undefined) total[part] = (a[part] ?? 0) + (b[part] ?? 0)
  }
  return total
}

/** What the parent's code gets from a finished child. */
export const childResult = ({
  childId,
  outcome,
}: Pick<Extract<ExecutionEvent, { type: 'ChildFinished' }>['data'], 'childId' | 'outcome'>): Exclude<
  SettledResult,
  { readonly type: 'signal' }
> => {
  if (outcome.status === 'completed') return { type: 'value', payload: outcome.output }
  const failed = outcome.status === 'failed'
  const why = failed ? outcome.error.detail : (outcome.reason ?? 'no reason was given')
  return {
    type: 'error',
    error: {
      code: 'child_failed',
      detail: `child execution ${childId} ${failed ? 'failed' : 'was cancelled'}: ${why}`.slice(0, 8192),
      retryable: false,
      data: {
        childId,
        status: outcome.status,
        ...(failed && { code: outcome.error.code }),
        // what the child says of its own child, to any depth: the first cause is at the end
        ...(failed && outcome.error.code === 'child_failed' && { cause: outcome.error.data ?? null }),
      },
    },
  }
}

/** The stored value that has to be opened before the entry can travel, if it has one. */
export const payloadOfSettled = ({ result }: SettledEntry): Payload | null =>
  result.type === 'error' ? null : result.payload

/** @param value the opened {@link payloadOfSettled} the entry; ignored for entries that have none */
export const settledJournalEntry = (
  { path, kind, requestHash, result }: SettledEntry,
  value: JsonValue,
): JournalEntry => {
  const entry = { path, kind, requestHash }
  if (result.type === 'error') return { ...entry, status: 'failed', error: result.error }
  return {
    ...entry,
    status: 'completed',
    value: result.type === 'signal' ? { timedOut: false, payload: value } : value,
  }
}
