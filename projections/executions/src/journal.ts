import { anyRequest, type ExecutionEvent, type Failure, type Payload, type RecoveryAction } from '@omium/schemas'

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
}

interface Opened {
  readonly kind: string
  readonly requestHash: string
  readonly childId?: string
}

const ranByWorker = new Set(['step', 'llm', 'tool', 'value'])
const inline = (value: unknown): SettledResult => ({ type: 'value', payload: { inline: value as null } })

/** Collects entries from a run's events, given in order. */
export class JournalCollector {
  readonly #settled = new Map<string, SettledEntry>()
  readonly #open = new Map<string, Opened>()
  readonly #signals = new Map<string, Payload>()
  /** results that this run itself took over from another; they come before its own */
  seed: Payload | undefined
  /** the last of those that still counts after a roll back; undefined: all of them */
  seedUpto: string | undefined
  #rerun: readonly string[] | undefined

  get entries(): SettledEntry[] {
    return [...this.#settled.values()]
  }

  add(event: ExecutionEvent): void {
    switch (event.type) {
      case 'ExecutionRequested':
        this.seed = event.data.forkedFrom?.seed
        return
      case 'StepStarted':
        this.#open.set(event.data.path, event.data)
        return
      case 'TimerStarted':
        this.#open.set(event.data.path, { kind: 'timer', requestHash: event.data.requestHash })
        return
      case 'WaitStarted':
        this.#open.set(event.data.path, { kind: 'wait', requestHash: event.data.requestHash })
        return
      case 'ApprovalRequested':
        this.#open.set(event.data.path, { kind: 'approval', requestHash: event.data.requestHash })
        return
      case 'ChildRequested':
        this.#open.set(event.data.path, { kind: 'child', ...event.data })
        return
      case 'StepCompleted':
        this.#settle(event.data.path, event.data, { type: 'value', payload: event.data.output })
        return
      case 'StepFailed':
        if (event.data.retryAt === null)
          this.#settle(event.data.path, event.data, { type: 'error', error: event.data.error })
        else this.#open.set(event.data.path, event.data)
        return
      case 'StepOutcomeResolved': {
        const { path, resolution } = event.data
        if (resolution.status === 'completed') this.#close(path, { type: 'value', payload: resolution.output })
        if (resolution.status === 'failed') this.#close(path, { type: 'error', error: resolution.error })
        return
      }
      case 'TimerFired':
        this.#close(event.data.path, inline(null))
        return
      case 'SignalReceived':
        this.#signals.set(event.data.signalId, event.data.payload)
        return
      case 'WaitResolved': {
        const { path, signalId } = event.data
        const payload = signalId === undefined ? undefined : this.#signals.get(signalId)
        this.#close(path, payload ? { type: 'signal', payload } : inline({ timedOut: true }))
        return
      }
      case 'ApprovalDecided': {
        const { path, decision, by, comment } = event.data
        this.#close(
          path,
          inline({
            approved: decision === 'approved',
            by,
            ...(comment !== undefined && { comment }),
            ...(decision === 'timed_out' && { timedOut: true }),
          }),
        )
        return
      }
      case 'ChildFinished':
        // not one that a roll back abandoned
        if (this.#open.get(event.data.path)?.childId === event.data.childId) {
          this.#close(event.data.path, childResult(event.data))
        }
        return
      case 'AttemptFailed':
        this.#forgetFailedSteps(event.data.rerun)
        return
      case 'RecoveryAwaited':
        this.#rerun = event.data.rerun
        return
      case 'ExecutionRecovered':
        this.#recover(event.data.action)
        return
      case 'ExecutionRolledBack':
        this.#rollBack(event.data.toPath)
        return
      default:
        return
    }
  }

  #forgetFailedSteps(rerun: readonly string[] | undefined): void {
    for (const path of rerun ?? this.#settled.keys()) {
      const entry = this.#settled.get(path)
      if (entry?.result.type === 'error' && ranByWorker.has(entry.kind)) this.#settled.delete(path)
    }
  }

  #recover(action: RecoveryAction): void {
    if (action.type === 'retry') this.#forgetFailedSteps(action.rerun ?? this.#rerun)
    if (action.type !== 'settle') return
    const { path, output } = action
    const { kind, requestHash } = this.#settled.get(path) ??
      this.#open.get(path) ?? { kind: 'step', requestHash: anyRequest }
    this.#open.delete(path)
    this.#settled.set(path, { path, kind, requestHash, result: { type: 'value', payload: output } })
  }

  #rollBack(toPath: string | null): void {
    let behind = toPath === null || !this.#settled.has(toPath)
    if (toPath !== null && behind) this.seedUpto = toPath
    for (const path of [...this.#settled.keys()]) {
      if (behind) this.#settled.delete(path)
      if (path === toPath) behind = true
    }
    this.#open.clear()
  }

  #close(path: string, result: SettledResult): void {
    const opened = this.#open.get(path)
    if (opened) this.#settle(path, opened, result)
  }

  #settle(path: string, { kind, requestHash }: Opened, result: SettledResult): void {
    this.#open.delete(path)
    this.#settled.delete(path)
    this.#settled.set(path, { path, kind, requestHash, result })
  }
}

const childResult = ({
  childId,
  outcome,
}: Extract<ExecutionEvent, { type: 'ChildFinished' }>['data']): SettledResult => {
  if (outcome.status === 'completed') return { type: 'value', payload: outcome.output }
  const failed = outcome.status === 'failed'
  const why = failed ? outcome.error.detail : (outcome.reason ?? 'no reason was given')
  return {
    type: 'error',
    error: {
      code: 'child_failed',
      detail: `child execution ${childId} ${failed ? 'failed' : 'was cancelled'}: ${why}`.slice(0, 8192),
      retryable: false,
      data: { childId, status: outcome.status, ...(failed && { code: outcome.error.code }) },
    },
  }
}
