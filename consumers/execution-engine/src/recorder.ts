import type { Authorship, TimerQueue } from '@omium/kit'
import type { Appended } from '@omium/log'
import { type ExecutionEvent, isTerminal } from '@omium/schemas'
import { avoidancePatienceMs, type Dispatcher } from './dispatcher.ts'
import { deadlineOf, dispatchableFrom, type ExecutionState } from './domain/execution.ts'
import { owedAfter } from './domain/outbox.ts'
import type { HostedPartition } from './hosted-partition.ts'
import { openEntry } from './hydration.ts'
import type { LiveRun } from './live-run.ts'
import type { Outbox } from './outbox.ts'
import type { StopReason } from './ports.ts'

/** A moment at which something about a run may have to happen. */
export interface Moment {
  readonly partition: HostedPartition
  readonly aggregate: string
  /** what elapses: an entry of the run, the run itself, or its recovery; `dispatch` only looks whether a worker can have it */
  readonly what: { readonly path: string } | 'deadline' | 'recovery' | 'dispatch'
}

const minSweep = 10_000

const isStillDue = ({ partition, aggregate, what }: Moment): boolean => {
  const state = partition.live ? partition.execution(aggregate) : undefined
  if (!state || isTerminal(state.status)) return false
  if (what === 'deadline') return true
  if (what === 'recovery') return state.recovery !== null
  return what === 'dispatch' ? dispatchableFrom(state) !== null : state.open.has(what.path)
}

export interface RecordOptions {
  /** this entry's result travels in the acknowledgement and needs no `resolve` */
  readonly answered?: string
  /** what the worker is told when the events end its attempt without its doing */
  readonly stop?: StopReason
}

export interface RecorderPort {
  readonly dispatcher: Dispatcher
  readonly timers: TimerQueue<Moment>
  readonly outbox: Outbox
  nowMs(): number
  /** a value that the worker needs cannot be fetched */
  cannotOpen(run: LiveRun, error: unknown): void
}

/**
 * Records events of runs and sees to what follows from them: timers, results for the worker, the end of its attempt, the
 * queue, commands to others. Nothing leaves the process before the events are accepted.
 */
export class Recorder {
  readonly #port: RecorderPort
  /** so many moments may wait before those that have lost their sense are forgotten */
  #sweepAt = minSweep

  constructor(port: RecorderPort) {
    this.#port = port
  }

  record(
    partition: HostedPartition,
    aggregate: string,
    events: readonly ExecutionEvent[],
    by: Authorship,
    options: RecordOptions = {},
  ): Promise<Appended> {
    const version = partition.log.versionOf(aggregate)
    const appended = partition.recordExecution(aggregate, events, by)
    // the log took nothing, e.g. because a value cannot be encoded: nothing follows, and the promise says why
    if (partition.log.versionOf(aggregate) === version) return appended
    const state = partition.execution(aggregate)
    for (const event of events) this.#follow(partition, aggregate, state, event, options)
    if (state) {
      this.enqueue(partition, aggregate, state)
      this.#send(partition, aggregate, state, events)
    }
    return appended
  }

  /** Puts the run where a worker can get it, now or when its time comes. */
  enqueue(partition: HostedPartition, aggregate: string, state: ExecutionState): void {
    const from = dispatchableFrom(state)
    if (from === null) return
    const now = this.#port.nowMs()
    if (from > now) {
      this.#remind(from, { partition, aggregate, what: 'dispatch' })
      return
    }
    const { tenant, agentId, requestedAt, avoidedWorker } = state
    const { priority } = state.options
    if (avoidedWorker !== null && !partition.queued.has(aggregate)) {
      this.#remind(now + avoidancePatienceMs, { partition, aggregate, what: 'dispatch' })
    }
    this.#port.dispatcher.offer({
      partition,
      aggregate,
      tenant,
      agentId,
      priority,
      requestedAt,
      avoidedWorker,
      since: now,
    })
  }

  /** Timers of everything that is open, after a takeover. */
  scheduleAll(partition: HostedPartition, aggregate: string, state: ExecutionState): void {
    const deadline = deadlineOf(state)
    if (deadline !== null) this.#remind(deadline, { partition, aggregate, what: 'deadline' })
    if (state.recovery) this.#remind(state.recovery.giveUpAt, { partition, aggregate, what: 'recovery' })
    for (const entry of state.open.values()) {
      const at = entry.type === 'timer' ? entry.fireAt : 'timeoutAt' in entry ? entry.timeoutAt : null
      if (at !== null) this.#remind(at, { partition, aggregate, what: { path: entry.path } })
    }
  }

  /** Most runs end long before their limits: moments of runs that are gone must not stay until then. */
  #remind(at: number, moment: Moment): void {
    const { timers } = this.#port
    if (timers.size >= this.#sweepAt) {
      timers.removeWhere((waiting) => !isStillDue(waiting))
      this.#sweepAt = Math.max(minSweep, 2 * timers.size)
    }
    timers.add(at, moment)
  }

  #follow(
    partition: HostedPartition,
    aggregate: string,
    state: ExecutionState | undefined,
    event: ExecutionEvent,
    options: RecordOptions,
  ): void {
    switch (event.type) {
      case 'ExecutionRequested': {
        const deadline = state && deadlineOf(state)
        if (deadline != null) this.#remind(deadline, { partition, aggregate, what: 'deadline' })
        return
      }
      case 'TimerStarted':
        this.#remind(event.data.fireAt, { partition, aggregate, what: { path: event.data.path } })
        return
      case 'WaitStarted':
      case 'ApprovalRequested':
        if (event.data.timeoutAt !== undefined) {
          this.#remind(event.data.timeoutAt, { partition, aggregate, what: { path: event.data.path } })
        }
        return
      case 'TimerFired':
      case 'WaitResolved':
      case 'ApprovalDecided':
      case 'ChildFinished':
      case 'StepOutcomeResolved':
        if (state && event.data.path !== options.answered) this.#resolve(partition, aggregate, state, event.data.path)
        return
      case 'RecoveryAwaited':
        this.#remind(event.data.giveUpAt, { partition, aggregate, what: 'recovery' })
        this.#endAttempt(partition, aggregate, options.stop)
        return
      case 'ExecutionRecovered':
        if (state?.recovery) this.#remind(state.recovery.giveUpAt, { partition, aggregate, what: 'recovery' })
        return
      case 'ExecutionRolledBack':
      case 'ExecutionSuspended':
      case 'AttemptLost':
      case 'AttemptFailed':
      case 'ExecutionPaused':
      case 'ExecutionCompleted':
      case 'ExecutionFailed':
      case 'ExecutionCancelled':
        this.#endAttempt(partition, aggregate, options.stop)
        return
    }
  }

  #resolve(partition: HostedPartition, aggregate: string, state: ExecutionState, path: string): void {
    const run = partition.runs.get(aggregate)
    const open = state.open.get(path)
    const entry = state.settled.get(path) ?? (open?.type === 'step' ? undefined : open)
    if (!run || !entry) return
    partition.whenAccepted(() => {
      if (run.ended) return
      run.session.setWaiting(run, false)
      run.outgoing.run(() => {
        const opened = openEntry(entry, run.payloads)
        if (!(opened instanceof Promise)) {
          run.session.link.resolve(run.executionId, run.attempt, opened)
          return
        }
        return opened.then(
          (journalEntry) => run.session.link.resolve(run.executionId, run.attempt, journalEntry),
          (error: unknown) => this.#port.cannotOpen(run, error),
        )
      })
    })
  }

  #endAttempt(partition: HostedPartition, aggregate: string, stop: StopReason | undefined): void {
    const run = partition.runs.get(aggregate)
    if (!run) return
    run.ended = true
    partition.runs.delete(aggregate)
    run.session.release(run)
    if (stop) {
      partition.whenAccepted(() =>
        run.outgoing.run(() => {
          run.session.link.stop(run.executionId, run.attempt, stop)
          run.session.confirmDrained()
          return undefined
        }),
      )
    }
    if (!run.session.closed) this.#port.dispatcher.fill(run.session)
  }

  #send(partition: HostedPartition, aggregate: string, state: ExecutionState, events: readonly ExecutionEvent[]): void {
    const owed = owedAfter(state, events)
    if (owed.length > 0) partition.whenAccepted(() => void this.#port.outbox.send(partition, aggregate, state, owed))
  }
}
