import { type Clock, type Notices, sleep, TimerQueue } from '@omium/kit'
import type { Command, ContextHandler, OwnedPartition } from '@omium/log'
import { aggregateKey, type ExecutionStatus, type errorCatalogue } from '@omium/schemas'
import { Assignments } from './assignments.ts'
import { Commands } from './commands.ts'
import { Dispatcher } from './dispatcher.ts'
import {
  elapse,
  failureOf,
  giveUpRecovery,
  type LossReason,
  loseAttempt,
  outcomeDelivered,
  permitReturned,
} from './domain/decide.ts'
import { dispatchableFrom } from './domain/execution.ts'
import { grantOf, type OwedCommand, owedBy } from './domain/outbox.ts'
import { HostedPartition, onBehalfOf } from './hosted-partition.ts'
import type { PartitionState } from './machine.ts'
import { Outbox } from './outbox.ts'
import type { EngineMeasures, LiveOutput, Payloads, RunMessage } from './ports.ts'
import { type Moment, Recorder } from './recorder.ts'
import { RunRequests } from './run-requests.ts'
import type { WorkerSession } from './worker-session.ts'

/**
 * The execution engine of one process: the partitions it owns on one side, the workers connected to it on the other.
 *
 * 1. Every change of a run is an accepted event; what this class holds beside the folded state (queues, timers, live
 *    attempts) is derived from it and from who is connected, and is rebuilt by {@link owned}.
 * 2. A run is handed to one session at a time. When the session or the partition goes, so does the attempt.
 */
/** what may wait for the log, of all workers together; each is one request of one run */
const maxPendingAppends = 50_000

export interface EngineOptions {
  readonly payloads: Payloads
  readonly clock: Clock
  readonly notices: Notices
  readonly measures: EngineMeasures
  readonly liveOutput: LiveOutput
}

export class Engine implements ContextHandler<PartitionState> {
  readonly #partitions = new Map<number, HostedPartition>()
  readonly #sessions = new Set<WorkerSession>()
  readonly #clock: Clock
  readonly #notices: Notices
  readonly #measures: EngineMeasures
  readonly #dispatcher: Dispatcher
  readonly #timers: TimerQueue<Moment>
  readonly #outbox: Outbox
  readonly #recorder: Recorder
  readonly #assignments: Assignments
  readonly #requests: RunRequests
  readonly #commands: Commands

  constructor({ payloads, clock, notices, measures, liveOutput }: EngineOptions) {
    const nowMs = (): number => clock.nowMs()
    this.#clock = clock
    this.#notices = notices
    this.#measures = measures
    this.#dispatcher = new Dispatcher((run, session) => this.#assignments.startWaiting(run, session), nowMs)
    this.#timers = new TimerQueue(clock, (moment) => this.#elapsed(moment))
    const delay = (ms: number): Promise<void> => sleep(clock, ms)
    this.#outbox = new Outbox({
      notices,
      delay,
      sent: (partition, aggregate, owed) => this.#sent(partition, aggregate, owed),
    })
    this.#recorder = new Recorder({
      dispatcher: this.#dispatcher,
      timers: this.#timers,
      outbox: this.#outbox,
      nowMs,
      cannotOpen: (run, error) => this.#assignments.cannotOpen(run, error),
    })
    this.#assignments = new Assignments({ recorder: this.#recorder, payloads, delay, measures, notices, nowMs })
    this.#requests = new RunRequests({
      recorder: this.#recorder,
      dispatcher: this.#dispatcher,
      liveOutput,
      measures,
      nowMs,
      delay,
      cannotOpen: (run, error) => this.#assignments.cannotOpen(run, error),
    })
    this.#commands = new Commands({
      recorder: this.#recorder,
      assignments: this.#assignments,
      dispatcher: this.#dispatcher,
      outbox: this.#outbox,
      nowMs,
    })
  }

  // the log's side

  owned(log: OwnedPartition<PartitionState>): void {
    const partition = new HostedPartition(log, {
      onFault: (err) =>
        this.#notices.error({ err, partition: log.partition }, 'what follows from accepted events failed'),
    })
    this.#partitions.set(log.partition, partition)
    const { executions, pools } = log.state
    for (const [aggregate, state] of [...executions]) {
      this.#recorder.scheduleAll(partition, aggregate, state)
      const owed = owedBy(state)
      if (owed.length > 0) void this.#outbox.send(partition, aggregate, state, owed)
      // its worker was connected to the former owner; whatever it still says is about a fenced attempt
      const lost = loseAttempt(state, 'engine_restarted', this.#clock.nowMs())
      if (lost.status === 'decided' && lost.events.length > 0) {
        this.#measures.attemptLost('engine_restarted')
        void this.#recorder.record(partition, aggregate, lost.events, onBehalfOf(state, 'system')).catch(ignore)
      } else this.#recorder.enqueue(partition, aggregate, state)
    }
    for (const [aggregate, pool] of pools) {
      const grants = [...pool.holders].map((executionId) => grantOf(pool, executionId))
      if (grants.length > 0) void this.#outbox.sendInAnyOrder(partition, aggregate, pool, grants)
    }
  }

  command(log: OwnedPartition<PartitionState>, command: Command): Promise<unknown> {
    const partition = this.#partitions.get(log.partition)
    if (!partition) throw new RangeError(`a command came for partition ${log.partition}, which is not owned`)
    return this.#commands.decide(partition, command)
  }

  lost(number: number): void {
    const partition = this.#partitions.get(number)
    if (!partition) return
    this.#partitions.delete(number)
    this.#timers.removeWhere((moment) => moment.partition === partition)
    this.#dispatcher.dropPartition(partition)
    const freed = new Set<WorkerSession>()
    for (const run of partition.runs.values()) {
      run.ended = true
      run.session.release(run)
      run.session.link.stop(run.executionId, run.attempt, 'fenced')
      run.session.confirmDrained()
      freed.add(run.session)
    }
    partition.runs.clear()
    for (const session of freed) this.#dispatcher.fill(session)
  }

  // the workers' side

  connect(session: WorkerSession): void {
    // the same worker again, before its old connection was found dead
    for (const other of this.#sessions) {
      if (other.tenant === session.tenant && other.workerId === session.workerId) this.disconnect(other, 'disconnected')
    }
    this.#sessions.add(session)
    this.#dispatcher.addSession(session)
  }

  disconnect(session: WorkerSession, reason: LossReason): void {
    if (session.closed) return
    session.closed = true
    this.#sessions.delete(session)
    this.#dispatcher.removeSession(session)
    for (const run of [...session.runs.values()]) {
      const { partition, aggregate } = run
      const state = partition.execution(aggregate)
      const lost = state && partition.live && !run.ended ? loseAttempt(state, reason, this.#clock.nowMs()) : null
      if (!state || lost?.status !== 'decided') continue
      this.#measures.attemptLost(reason)
      void this.#recorder.record(partition, aggregate, lost.events, onBehalfOf(state, 'system')).catch(ignore)
    }
  }

  /** The engine leaves: its runs are free for the next owner, and nothing of this counts against them. */
  leave(): void {
    for (const session of [...this.#sessions]) this.disconnect(session, 'engine_restarted')
  }

  /** @param large whether a value in the message may exceed what travels inside a record */
  message(session: WorkerSession, message: RunMessage, large: boolean): void {
    if (session.closed) return
    const run = session.runs.get(message.executionId)
    if (run && run.attempt === message.attempt) this.#requests.handle(run, message, large)
    else if ('seq' in message) this.#strayRequest(session, message)
  }

  /** A session can take runs again, e.g. because its peer caught up with reading. */
  ready(session: WorkerSession): void {
    if (!session.closed) this.#dispatcher.fill(session)
  }

  /** The log does not keep up, e.g. because its brokers are away: nothing more is taken from workers for the moment. */
  get overloaded(): boolean {
    let pending = 0
    for (const partition of this.#partitions.values()) pending += partition.pending
    return pending > maxPendingAppends
  }

  // what metrics show

  get sessions(): number {
    return this.#sessions.size
  }

  /** timers, time limits and delays that wait for their time */
  get moments(): number {
    return this.#timers.size
  }

  get waiting(): number {
    return this.#dispatcher.waiting
  }

  /** Live executions by status; O(live executions). */
  countByStatus(): Map<ExecutionStatus, number> {
    const counts = new Map<ExecutionStatus, number>()
    for (const { log } of this.#partitions.values()) {
      for (const { status } of log.state.executions.values()) counts.set(status, (counts.get(status) ?? 0) + 1)
    }
    return counts
  }

  #elapsed({ partition, aggregate, what }: Moment): void {
    const state = partition.live ? partition.execution(aggregate) : undefined
    if (!state) return
    if (what === 'dispatch') {
      if (dispatchableFrom(state) !== null) this.#recorder.enqueue(partition, aggregate, state)
      return
    }
    const now = this.#clock.nowMs()
    const decision =
      what === 'recovery' ? giveUpRecovery(state, now) : elapse(state, what === 'deadline' ? null : what.path, now)
    if (decision.status !== 'decided' || decision.events.length === 0) return
    const options = what === 'deadline' ? ({ stop: 'timed_out' } as const) : {}
    void this.#recorder
      .record(partition, aggregate, decision.events, onBehalfOf(state, 'system'), options)
      .catch(ignore)
  }

  #sent(partition: HostedPartition, aggregate: string, { receipt }: OwedCommand): void {
    const state = receipt && partition.live ? partition.execution(aggregate) : undefined
    if (!state) return
    const decision = receipt === 'OutcomeDelivered' ? outcomeDelivered(state) : permitReturned(state)
    if (decision.status !== 'decided' || decision.events.length === 0) return
    void this.#recorder.record(partition, aggregate, decision.events, onBehalfOf(state, 'system')).catch(ignore)
  }

  /** A request about a run that this session does not hold in this attempt: fenced, or a lie. */
  #strayRequest(session: WorkerSession, message: Extract<RunMessage, { seq: number }>): void {
    const { executionId, attempt, seq } = message
    const aggregate = aggregateKey('execution', session.tenant, executionId)
    let code: keyof typeof errorCatalogue = 'attempt_fenced'
    let detail = `attempt ${attempt} of ${executionId} is not held by this worker`
    for (const partition of this.#partitions.values()) {
      const state = partition.execution(aggregate)
      if (!state) continue
      const held = state.worker !== null && state.worker !== session.workerId && attempt === state.attempt
      if (attempt > state.attempt || held) {
        code = 'protocol_violation'
        detail = held
          ? `attempt ${attempt} of ${executionId} is held by another worker`
          : `${executionId} has no attempt ${attempt}`
      }
    }
    this.#measures.requestRefused(code)
    session.link.nack(executionId, attempt, seq, failureOf(code, detail))
  }
}

const ignore = (): void => {}
