import {
  anyRequest,
  type EngineMessage,
  type Failure,
  type JournalEntry,
  type JsonValue,
  OmiumError,
  type RunOverrides,
  type WorkerMessage,
} from '@omium/schemas'
import type { AnyAgent } from '../context.ts'
import { ambient } from './ambient.ts'
import { attemptOver, type EndReason } from './end-reason.ts'
import { failureOf, forbidsRetry } from './failures.ts'
import { GivenFailures } from './given-failures.ts'
import { neverAsked, otherRequest, otherStep } from './mismatch.ts'
import { toPlainJson } from './plain-json.ts'
import type { CallHost, HostedRun, PendingCall, Requester, RunningStep, RunPort } from './port.ts'
import { createContext } from './run-context.ts'
import { ReleaseQueue, type Settlement, settlementOf } from './settlement.ts'
import { replayMiss, Simulation } from './simulation.ts'

/** How long code that does I/O of its own may take to ask for what the journal has next, before it is a mismatch. */
const mismatchGraceMs = 500

type Assign = Extract<EngineMessage, { type: 'assign' }>
export type RunMessage = Extract<EngineMessage, { executionId: string }>

/**
 * One attempt of one execution: drives user code by the journal, then by the engine's answers.
 *
 * 1. Results reach user code one at a time. Between two releases user code runs until it can't go on (all its microtasks;
 *    the next release is a later macrotask). So `Promise.all`, `Promise.race` and branches see one order, and make their
 *    calls in one order.
 * 2. The order of releases is the order of settlement on the log: live that of acks and resolves, on replay that of the
 *    journal, which is the same. Both go through the one release queue.
 * 3. While recorded entries are not all asked for and released, nothing new is done: an unrecorded call is held. When user
 *    code stands still and the next recorded result is not asked for, code and history differ: `replay_mismatch`.
 * 4. A recorded path asked for with another request, and recorded entries never asked for by the end, are mismatches too.
 * 5. An entry that fits any request binds nobody to ask for it. Its result is released before all others, live and on
 *    replay.
 * 6. A run that is over answers nothing any more: its calls stay pending for ever, its signals are aborted, its late
 *    results are dropped.
 * 7. Requests carry rising `seq`; their answers come in log order, so nothing here sorts.
 */
export class Run implements CallHost, HostedRun {
  readonly executionId: string
  readonly attempt: number
  readonly agent: AnyAgent
  readonly port: RunPort
  /** cap in force, millionths of a credit */
  readonly budgetMicroCredits: number | undefined
  readonly overrides: RunOverrides | undefined
  readonly simulation: Simulation | undefined
  /** steps whose function or reconciler runs */
  readonly running = new Set<RunningStep>()
  over = false
  endReason: EndReason | undefined
  /** set while the host keeps it on its list of turns */
  scheduled = false
  waiting = false
  suspending = false

  private readonly input: JsonValue
  private readonly expectedEntries: number
  private receivedEntries = 0
  /** journal entries that user code has not asked for yet */
  private readonly recorded = new Map<string, JournalEntry>()
  /** results of entries that fit any request (see the protocol): they are there for whoever asks, in no order */
  private readonly offered = new Map<string, Settlement>()
  /** offered results that were asked for */
  private readonly taken: Settlement[] = []
  private readonly queue = new ReleaseQueue()
  private journalReleasesLeft = 0
  private live = false
  /** asked for and not released */
  private readonly calls = new Map<string, PendingCall>()
  /** what has to wait until the replay is over, each call once, with the newest word about it */
  private held = new Map<PendingCall, JournalEntry | undefined>()
  private readonly open = new Set<PendingCall>()
  private readonly retries = new Map<PendingCall, () => void>()
  private readonly pending = new Map<number, Requester>()
  private seq = 0
  private readonly givenFailures = new GivenFailures()
  private codeEnded = false
  private draining = false
  private cancelGrace: (() => void) | undefined

  constructor(assign: Assign, agent: AnyAgent, port: RunPort) {
    this.executionId = assign.executionId
    this.attempt = assign.attempt
    this.input = assign.input
    this.expectedEntries = assign.journalEntries
    this.budgetMicroCredits = assign.budgetMicroCredits ?? agent.budgetMicroCredits
    this.overrides = assign.overrides
    this.simulation = assign.simulate ? new Simulation(assign.recordings ?? []) : undefined
    this.agent = agent
    this.port = port
  }

  /** user code has ended, or the attempt has: nothing new counts */
  get closed(): boolean {
    return this.over || this.codeEnded
  }

  get replaying(): boolean {
    return !this.live
  }

  // ---- from the engine

  receive(message: RunMessage): void {
    if (this.over) return
    switch (message.type) {
      case 'ack': {
        const requester = this.pending.get(message.seq)
        if (!requester) return
        this.pending.delete(message.seq)
        requester.acked(message)
        this.schedule()
        return
      }
      case 'resolve':
        this.resolved(message.entry)
        return
      case 'nack': {
        if (message.error.code === 'attempt_fenced') {
          this.end('fenced')
          return
        }
        const requester = this.pending.get(message.seq)
        this.pending.delete(message.seq)
        requester?.nacked(message.error)
        this.schedule()
        return
      }
      case 'journal':
        for (const entry of message.entries) this.record(entry)
        if (message.last) this.begin()
        return
      case 'stop':
        this.end(message.reason)
        return
      case 'assign':
        return
    }
  }

  private record(entry: JournalEntry): void {
    this.receivedEntries += 1
    const settlement = settlementOf(entry)
    if (settlement && entry.requestHash === anyRequest) {
      this.offered.set(entry.path, settlement)
      return
    }
    this.recorded.set(entry.path, entry)
    if (!settlement) return
    this.queue.push(settlement)
    this.journalReleasesLeft += 1
  }

  private begin(): void {
    if (this.receivedEntries !== this.expectedEntries) {
      this.abandon(`the journal has ${this.receivedEntries} entries, ${this.expectedEntries} were announced`)
      return
    }
    this.live = this.recorded.size === 0
    ambient.run({ run: this, insideStep: undefined }, () => {
      new Promise((resolve) => resolve(this.agent.execute(this.input, createContext(this)))).then(
        (output) => this.codeReturned(output),
        (error: unknown) => this.codeThrew(error),
      )
    })
    this.schedule()
  }

  private resolved(entry: JournalEntry): void {
    this.waiting = false
    const call = this.calls.get(entry.path)
    if (call) {
      this.open.delete(call)
      call.entered(entry)
    } else if (this.recorded.has(entry.path)) {
      this.recorded.set(entry.path, entry)
      const settlement = settlementOf(entry)
      if (settlement) this.queue.push(settlement)
    }
    this.schedule()
  }

  // ---- from user code, through the context

  /** Enters a call: answers it from the journal, or does it now, or holds it until the replay is over. */
  ask(call: PendingCall): Promise<JsonValue> {
    if (this.closed) return call.promise
    this.givenFailures.asked()
    this.calls.set(call.path, call)
    const entry = this.recorded.get(call.path)
    const offer = this.offered.get(call.path)
    if (offer) {
      this.offered.delete(call.path)
      call.settled = true
      this.taken.push(offer)
      this.schedule()
    } else if (!entry) {
      if (this.port.hermetic) this.miss(call)
      else if (this.live && !this.draining) call.start()
      else this.hold(call, undefined)
    } else if (entry.requestHash !== call.requestHash || (entry.kind !== call.kind && !this.simulation)) {
      this.fail(otherRequest(entry, call))
    } else {
      this.recorded.delete(call.path)
      if (entry.status === 'pending') this.open.add(call)
      else if (entry.status === 'retrying' || entry.status === 'unknown') this.hold(call, entry)
      else call.settled = true
      this.goLiveIfReplayed()
      this.schedule()
    }
    return call.promise
  }

  /** Once the record is used up: as long as it is not, a mismatch says more. */
  private miss(call: PendingCall): void {
    if (this.recorded.size > 0) this.hold(call, undefined)
    else this.fail(replayMiss(call))
  }

  private hold(call: PendingCall, entry: JournalEntry | undefined): void {
    this.held.set(call, entry)
    this.schedule()
  }

  // ---- from calls

  /** Number of the next request; its answer goes to `requester`. */
  nextSeq(requester: Requester | undefined): number {
    this.seq += 1
    if (requester) this.pending.set(this.seq, requester)
    this.waiting = false
    return this.seq
  }

  settled(path: string, value: JsonValue, failure: Failure | undefined): void {
    this.queue.push({ path, value, failure })
    this.schedule()
  }

  /** The call waits for a `resolve`. */
  opened(call: PendingCall): void {
    this.open.add(call)
    this.schedule()
  }

  reopenWhenLive(call: PendingCall, entry: JournalEntry): void {
    this.open.delete(call)
    if (this.live && !this.draining) call.reopen(entry)
    else this.hold(call, entry)
  }

  retryAt(call: PendingCall, atMs: number): void {
    // told twice, e.g. by a person's decision that crossed with a reconciler's: one try
    this.retries.get(call)?.()
    const cancel = this.port.after(Math.max(0, atMs - this.port.now()), () => {
      this.retries.delete(call)
      if (this.over) return
      if (this.draining) this.hold(call, undefined)
      else call.start()
      this.schedule()
    })
    this.retries.set(call, cancel)
  }

  /** The engine refused a request for a reason that no step can carry. */
  refused(error: Failure, path: string): void {
    if (this.closed) return
    if (error.retryable) this.abandon(`the engine refused ${path}: ${error.code}: ${error.detail}`)
    else this.fail(OmiumError.fromFailure(error))
  }

  // ---- turns

  schedule(): void {
    this.port.schedule(this)
  }

  /** One release, or a look at why there is none. The host calls it once for each `schedule`, each in its own macrotask. */
  turn(): void {
    if (this.closed || this.suspending) return
    if (this.draining) {
      this.drainIfStill()
      return
    }
    const taken = this.taken.shift()
    if (taken) {
      const call = this.calls.get(taken.path)
      if (call) this.deliver(call, taken)
      return
    }
    const { next } = this.queue
    if (next) {
      const call = this.calls.get(next.path)
      if (call) this.release(call, next)
      else this.suspectMismatch()
      return
    }
    if (!this.live) {
      if (this.recorded.size > 0 && this.held.size > 0) {
        this.suspectMismatch()
        return
      }
      this.goLiveIfReplayed()
    }
    this.reportIfWaiting()
  }

  private release(call: PendingCall, settlement: Settlement): void {
    this.queue.take()
    if (this.journalReleasesLeft > 0) {
      this.journalReleasesLeft -= 1
      // before the call is told: what was held goes first
      this.calls.delete(call.path)
      this.goLiveIfReplayed()
    }
    this.deliver(call, settlement)
  }

  private deliver(call: PendingCall, { value, failure }: Settlement): void {
    this.calls.delete(call.path)
    if (failure) call.reject(this.givenFailures.give(call.path, failure))
    else call.fulfil(value)
    this.schedule()
  }

  private goLiveIfReplayed(): void {
    if (this.live || this.journalReleasesLeft > 0 || this.recorded.size > 0 || this.draining) return
    this.live = true
    this.releaseHeld()
  }

  private releaseHeld(): void {
    const held = this.held
    this.held = new Map()
    for (const [call, entry] of held) {
      if (this.over) return
      // resolved while it was held: its result is on its way
      if (call.settled) continue
      if (this.port.hermetic) this.fail(replayMiss(call))
      else if (entry) call.reopen(entry)
      else call.start()
    }
  }

  private suspectMismatch(): void {
    if (this.calls.size === 0 || this.cancelGrace) return
    const stuckAt = this.queue.released
    const askedThen = this.recorded.size
    const since = this.port.now()
    this.cancelGrace = this.port.after(mismatchGraceMs, () => {
      this.cancelGrace = undefined
      if (this.closed) return
      // the process stood still: what the code waits for may have come, and was not heard of yet
      if (this.port.now() - since > 2 * mismatchGraceMs) return this.schedule()
      const { next } = this.queue
      const missing = next && !this.calls.has(next.path) ? this.recorded.get(next.path) : undefined
      const first = missing ?? (next ? undefined : this.recorded.values().next().value)
      const asked = this.held.keys().next().value ?? this.calls.values().next().value
      if (first && asked && this.queue.released === stuckAt && this.recorded.size === askedThen)
        this.fail(otherStep(first, asked))
      else this.schedule()
    })
  }

  private reportIfWaiting(): void {
    if (this.waiting || this.open.size === 0 || !this.isStill() || this.held.size > 0) return
    this.waiting = true
    this.port.send({ type: 'waiting', executionId: this.executionId, attempt: this.attempt })
    this.port.waiting(this)
  }

  private isStill(): boolean {
    return this.running.size === 0 && this.pending.size === 0 && this.retries.size === 0
  }

  // ---- leaving the worker

  /** Gives the run back: it is assigned anew when something resolves (`waiting`) or at once (`drained`). */
  suspend(reason: 'waiting' | 'drained'): void {
    if (this.closed || this.suspending) return
    this.suspending = true
    const seq = this.nextSeq({
      acked: () => this.end('suspended'),
      nacked: () => {
        this.suspending = false
        this.waiting = false
        this.schedule()
      },
    })
    this.port.send({ type: 'suspend', executionId: this.executionId, attempt: this.attempt, seq, reason })
  }

  /** Lets what runs come to its recorded result, begins nothing new, then suspends. */
  drain(): void {
    this.draining = true
    for (const [call, cancel] of this.retries) {
      cancel()
      this.hold(call, undefined)
    }
    this.retries.clear()
    this.schedule()
  }

  private drainIfStill(): void {
    // what only waits needs no worker until something resolves
    if (this.isStill()) this.suspend(this.waiting ? 'waiting' : 'drained')
  }

  /** The worker can't go on with this run; the platform hands it to another. */
  abandon(detail: string): void {
    if (this.over) return
    this.port.send({
      type: 'abandon',
      executionId: this.executionId,
      attempt: this.attempt,
      detail: detail.slice(0, 2000),
    })
    this.end('abandoned')
  }

  /** Nothing of this attempt counts any more. */
  end(reason: EndReason): void {
    if (this.over) return
    this.over = true
    this.endReason = reason
    this.cancelGrace?.()
    for (const cancel of this.retries.values()) cancel()
    this.retries.clear()
    this.abortSteps(reason)
    this.calls.clear()
    this.open.clear()
    this.pending.clear()
    this.queue.clear()
    this.held.clear()
    this.port.finished(this)
  }

  private abortSteps(reason: EndReason): void {
    if (this.running.size === 0) return
    const error = attemptOver(reason, `attempt ${this.attempt} of ${this.executionId}`)
    for (const step of this.running) step.abort(error)
    this.running.clear()
  }

  // ---- the end of user code

  private codeReturned(output: unknown): void {
    if (this.closed) return
    const forgotten = this.recorded.values().next().value
    if (forgotten) {
      this.fail(neverAsked(forgotten))
      return
    }
    try {
      const plain = toPlainJson(output, `the output of agent "${this.agent.id}"`)
      this.conclude('completed', (ids) => ({ type: 'complete', ...ids, output: plain }))
    } catch (error) {
      this.fail(error)
    }
  }

  private codeThrew(error: unknown): void {
    // a rejection after an unhandled one, or of a branch after a mismatch, comes too late to count
    if (!this.closed) this.fail(error)
  }

  /** Ends the attempt with an error; the execution's retry policy decides about another one. */
  fail(error: unknown): void {
    if (this.closed) return
    const what = `agent "${this.agent.id}"`
    const retryable = !forbidsRetry(error, { nonRetryable: [] })
    const failure = this.givenFailures.named(error, failureOf(error, 'agent_threw', what, retryable))
    const { rerun } = this.givenFailures
    this.conclude('failed', (ids) => ({ type: 'fail', ...ids, error: failure, rerun }))
  }

  private conclude(
    reason: 'completed' | 'failed',
    message: (ids: { executionId: string; attempt: number; seq: number }) => WorkerMessage,
  ): void {
    this.codeEnded = true
    this.abortSteps(reason)
    const { executionId, attempt } = this
    const seq = this.nextSeq({
      acked: () => this.end(reason),
      nacked: (error) => {
        this.codeEnded = false
        if (error.retryable || reason === 'failed')
          this.abandon(`the engine refused the end: ${error.code}: ${error.detail}`)
        else this.fail(OmiumError.fromFailure(error))
      },
    })
    this.port.send(message({ executionId, attempt, seq }))
  }
}
