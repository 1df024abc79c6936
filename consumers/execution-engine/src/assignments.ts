import type { Authorship, Notices } from '@omium/kit'
import type { Appended } from '@omium/log'
import type { ExecutionEvent, JournalEntry, JsonValue, Recording } from '@omium/schemas'
import { OmiumError } from '@omium/schemas'
import type { WaitingRun } from './dispatcher.ts'
import { failed, failureOf, startAttempt } from './domain/decide.ts'
import { intentsInDoubt } from './domain/decision.ts'
import { deadlineOf } from './domain/execution.ts'
import { journalOf, seedEntries } from './domain/journal.ts'
import { type HostedPartition, onBehalfOf } from './hosted-partition.ts'
import { openJournal } from './hydration.ts'
import { LiveRun } from './live-run.ts'
import type { EngineMeasures, Payloads } from './ports.ts'
import type { Recorder } from './recorder.ts'
import type { WorkerSession } from './worker-session.ts'

/** Hands runs to workers: records the attempt, then sends the run with its journal. */
export class Assignments {
  readonly #recorder: Recorder
  readonly #store: { readonly payloads: Payloads; delay(ms: number): Promise<void> }
  readonly #measures: EngineMeasures
  readonly #notices: Notices
  readonly #nowMs: () => number

  constructor(port: {
    recorder: Recorder
    payloads: Payloads
    delay(ms: number): Promise<void>
    measures: EngineMeasures
    notices: Notices
    nowMs: () => number
  }) {
    this.#recorder = port.recorder
    this.#store = port
    this.#measures = port.measures
    this.#notices = port.notices
    this.#nowMs = port.nowMs
  }

  /** A run from the queue; false when it does not wait any more. */
  startWaiting(waiting: WaitingRun, session: WorkerSession): boolean {
    const { partition, aggregate, since } = waiting
    const state = partition.execution(aggregate)
    if (!state || !partition.live) return false
    const decision = startAttempt(state, { id: session.workerId, runtime: session.runtime }, this.#nowMs())
    if (decision.status !== 'decided') return false
    const by = onBehalfOf(state, `worker:${session.workerId}`)
    this.#launch(partition, aggregate, session, state.executionId, state.attempt + 1, decision.events, by, since)
    return true
  }

  /** A run that is requested and started in one append, because a worker is free. */
  startRequested(
    partition: HostedPartition,
    aggregate: string,
    executionId: string,
    requested: readonly ExecutionEvent[],
    session: WorkerSession,
    by: Authorship,
  ): Promise<Appended> {
    const started: ExecutionEvent = {
      type: 'ExecutionStarted',
      data: { attempt: 1, workerId: session.workerId, runtime: session.runtime },
    }
    return this.#launch(partition, aggregate, session, executionId, 1, [...requested, started], by, this.#nowMs())
  }

  /** A stored value of the run is missing or damaged: it can never be handed over. */
  cannotOpen(run: LiveRun, error: unknown): void {
    const { partition, aggregate } = run
    const state = partition.execution(aggregate)
    if (run.ended || !state || !partition.live) return
    const failure = error instanceof OmiumError ? error.toFailure() : failureOf('internal', String(error))
    this.#notices.error({ err: error, aggregate, attempt: run.attempt }, 'a stored value of a run cannot be opened')
    const by = onBehalfOf(state, 'system')
    const events: ExecutionEvent[] = [...intentsInDoubt(state), failed(state, failure, this.#nowMs(), [])]
    void this.#recorder.record(partition, aggregate, events, by, { stop: 'fenced' }).catch(ignore)
  }

  #launch(
    partition: HostedPartition,
    aggregate: string,
    session: WorkerSession,
    executionId: string,
    attempt: number,
    events: readonly ExecutionEvent[],
    by: Authorship,
    since: number,
  ): Promise<Appended> {
    const run = new LiveRun(partition, aggregate, executionId, attempt, session, this.#store)
    session.hold(run)
    partition.runs.set(aggregate, run)
    const appended = this.#recorder.record(partition, aggregate, events, by)
    const state = partition.execution(aggregate)
    if (state?.attempt !== attempt || state.status !== 'running') {
      // the log took nothing, e.g. because the aggregate is parked; the promise says why
      run.ended = true
      partition.runs.delete(aggregate)
      session.release(run)
      return appended
    }
    // Taken now: everything in it precedes the start on the log. What settles later is sent after it, as a `resolve`.
    const journal = journalOf(state)
    const { agentId, input, seed, seedUpto, overrides, recordings, generation } = state
    const simulate = state.options.simulate === true
    const deadlineAt = deadlineOf(state)
    const budgetMicroCredits = state.options.budgetMicroCredits ?? null
    const send = (
      openedInput: JsonValue,
      opened: readonly JournalEntry[],
      openedRecordings: readonly Recording[] | null,
    ): void => {
      if (run.ended) return
      session.link.assign({
        executionId,
        attempt,
        agentId,
        input: openedInput,
        deadlineAt,
        budgetMicroCredits,
        journal: opened,
        overrides,
        simulate,
        recordings: openedRecordings,
        generation,
      })
      this.#measures.dispatched(this.#nowMs() - since)
    }
    partition.whenAccepted(() =>
      run.outgoing.run(() => {
        if (journal.length === 0 && !seed && !recordings && 'inline' in input) {
          try {
            send(input.inline, [], null)
          } catch (error) {
            this.cannotOpen(run, error)
          }
          return
        }
        return Promise.all([
          run.payloads.open(input),
          seed ? run.payloads.open(seed) : [],
          openJournal(journal, run.payloads),
          recordings ? run.payloads.open(recordings) : null,
        ])
          .then(([openedInput, seeded, opened, openedRecordings]) =>
            send(
              openedInput,
              [...seedEntries(seeded as JournalEntry[], seedUpto, new Set(opened.map(({ path }) => path))), ...opened],
              openedRecordings as Recording[] | null,
            ),
          )
          .catch((error: unknown) => this.cannotOpen(run, error))
      }),
    )
    return appended
  }
}

const ignore = (): void => {}
