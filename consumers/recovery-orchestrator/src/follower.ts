import type { Clock } from '@omium/kit'
import type { AcceptedEvent, LogContext, OpenTail, SnapshotStore, Tail, TailBatch } from '@omium/log'
import {
  aggregateKey,
  type EventEnvelope,
  type ExecutionEvent,
  eventsTopic,
  executionEvents,
  hashJson,
} from '@omium/schemas'
import { followed, lookForStall, observe, type Report, type RunView, refusedCommand } from './domain/run.ts'
import { loadFollowed, storeFollowed } from './follower-snapshot.ts'
import type { KnowledgeBook } from './knowledge.ts'
import type { Commands, Notices } from './ports.ts'

/**
 * Follows one partition of the execution events and reports what they mean to incidents, as commands to the recovery
 * context.
 *
 * 1. At least once: the next batch is not asked for before every report of the last one is on the log, and a snapshot is
 *    only taken then. A report's id is made from what it reports, so each has one effect.
 * 2. Without a snapshot the partition is read from its beginning in silence up to its present end. Of what it finds there no
 *    failure is reported that is over, but every end is: an incident may have been open when the last follower died.
 * 3. It changes nothing by itself: it only tells.
 */
export interface FollowerPort {
  /** the execution context */
  readonly log: LogContext
  readonly openTail: OpenTail
  /** to the recovery context */
  readonly commands: Commands
  readonly knowledge: KnowledgeBook
  readonly snapshots: SnapshotStore
  readonly clock: Clock
  readonly notices: Notices
  readonly snapshotEvery: number
  readonly sweepMs: number
}

const retryDelayMs = 200
const longestRetryMs = 5_000
/** a quiet partition is remembered at least so often */
const snapshotAfterMs = 15_000

export class Follower {
  readonly partition: number
  readonly #port: FollowerPort
  readonly #topic: string
  readonly #snapshotTopic: string
  #runs = new Map<string, RunView>()
  /** began within the batch that is being read: not known yet whether they are to be followed */
  readonly #candidates = new Set<string>()
  #tail: Tail | undefined
  #closed = false
  #reading: Promise<void> = Promise.resolve()
  #sweeping: Promise<void> = Promise.resolve()
  #cancelSweep: (() => void) | undefined
  #sinceSnapshot = 0
  #snapshotAt = 0
  /** everything that was folded is reported; otherwise what is known must not be stored */
  #complete = true
  #nextOffset = 0
  /** reports of the silent part, until its end is reached; null afterwards */
  #held: Held[] | null = null
  #silentUntil = 0
  #problem: string | null = 'starting'

  constructor(partition: number, port: FollowerPort) {
    this.partition = partition
    this.#port = port
    this.#topic = eventsTopic(port.log.topicPrefix, port.log.definition.name)
    this.#snapshotTopic = `${this.#topic}~recovery`
  }

  get following(): number {
    return this.#runs.size
  }

  /** null while it reads, otherwise why not */
  notReady(): string | null {
    return this.#problem
  }

  start(): void {
    this.#reading = this.#run()
    this.#scheduleSweep()
  }

  /** @param remember whether what it knows is stored for whoever follows next */
  async close(remember: boolean): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelSweep?.()
    const tail = this.#tail
    await tail?.close()
    await this.#reading
    await this.#sweeping
    if (remember && tail && this.#complete && !this.#held && this.#sinceSnapshot > 0) await this.#remember(tail)
  }

  async #run(): Promise<void> {
    for (let delayMs = retryDelayMs; !this.#closed; delayMs = Math.min(longestRetryMs, 2 * delayMs)) {
      try {
        this.#tail = await this.#open()
        this.#problem = null
        for (;;) {
          const batch = this.#closed ? null : await this.#tail.next()
          if (!batch) return
          await this.#take(batch)
          delayMs = retryDelayMs
        }
      } catch (error) {
        if (this.#closed) return
        this.#problem = error instanceof Error ? error.message : String(error)
        this.#port.notices.warn({ err: error, partition: this.partition }, 'a partition is followed anew')
        await this.#tail?.close().catch(() => undefined)
        this.#tail = undefined
        await this.#pause(delayMs)
      }
    }
  }

  async #open(): Promise<Tail> {
    const { log, openTail, snapshots, notices, clock } = this.#port
    const end = (await log.transport.endOffsets(this.#topic)).get(this.partition) ?? 0
    const found = await loadFollowed(snapshots, this.#snapshotTopic, this.partition, end, notices)
    this.#runs = found?.runs ?? new Map()
    this.#candidates.clear()
    this.#sinceSnapshot = 0
    this.#snapshotAt = clock.nowMs()
    this.#held = found ? null : []
    this.#complete = true
    this.#nextOffset = found?.acceptance.nextOffset ?? 0
    this.#silentUntil = end
    if (this.#held && end === 0) this.#held = null
    const request = found
      ? { partition: this.partition, fromOffset: found.acceptance.nextOffset, checkpoint: found.acceptance }
      : { partition: this.partition, fromOffset: 0 }
    return openTail(log, [request], { wants: (envelope) => this.#wants(envelope) })
  }

  #wants({ type, aggregate }: EventEnvelope): boolean {
    if (type !== 'ExecutionRequested') return this.#runs.has(aggregate) || this.#candidates.has(aggregate)
    this.#candidates.add(aggregate)
    return true
  }

  async #take(batch: TailBatch): Promise<void> {
    this.#complete = false
    for (const event of batch.events) {
      const reports = this.#observe(event)
      if (reports.length === 0) continue
      const { aggregate: run, tenant, correlationId } = event.envelope
      if (this.#held) this.#held.push(...reports.map((report) => ({ run, tenant, correlationId, report })))
      else for (const report of reports) await this.#send(tenant, report, correlationId)
    }
    this.#candidates.clear()
    if (this.#held && batch.nextOffset >= this.#silentUntil) await this.#speak(this.#held)
    this.#complete = true
    this.#nextOffset = batch.nextOffset
    this.#sinceSnapshot += Math.max(1, batch.events.length)
    const { snapshotEvery, clock } = this.#port
    const due = this.#sinceSnapshot >= snapshotEvery || clock.nowMs() - this.#snapshotAt >= snapshotAfterMs
    if (due && this.#tail && !this.#held && this.#sinceSnapshot > 0) await this.#remember(this.#tail)
  }

  /** The silent part is over. */
  async #speak(held: readonly Held[]): Promise<void> {
    this.#held = null
    for (const { run, tenant, correlationId, report } of held) {
      const begins = report.command.type === 'ReportFailure' || report.command.type === 'ProposeIntervention'
      if (begins && this.#runs.get(run)?.incident?.id !== report.incident) continue
      await this.#send(tenant, report, correlationId)
    }
  }

  #observe({ envelope, type, data }: AcceptedEvent): Report[] {
    const { aggregate, tenant, correlationId, time, version, commandId } = envelope
    if (type === 'ExecutionRequested') {
      const requested = { type, data } as Extract<ExecutionEvent, { type: 'ExecutionRequested' }>
      const run = followed(requested.data, { tenant, correlationId, time, version })
      if (run) this.#runs.set(aggregate, run)
      return []
    }
    const run = this.#runs.get(aggregate)
    if (!run) return []
    if (type === 'CommandRejected') {
      return commandId === undefined ? [] : refusedCommand(run, commandId, data as RejectedData, time)
    }
    if (!(type in executionEvents)) return []
    const loops = run.policy === null ? null : this.#port.knowledge.policy(tenant, run.policy).policy.loops
    const reports = observe(run, { type, data } as ExecutionEvent, { tenant, correlationId, time, version }, { loops })
    if (run.terminal) this.#runs.delete(aggregate)
    return reports
  }

  async #send(tenant: string, { incident, key, command }: Report, correlationId: string): Promise<void> {
    const draft = {
      id: `cmd_report_${hashJson([tenant, incident, key]).slice(0, 32)}`,
      type: command.type,
      data: command.data,
      aggregate: aggregateKey('incident', tenant, incident),
      tenant,
      actor: 'system',
      correlationId,
    }
    for (let delayMs = retryDelayMs; !this.#closed; delayMs = Math.min(longestRetryMs, 2 * delayMs)) {
      try {
        await this.#port.commands.send(draft)
        return
      } catch (error) {
        this.#port.notices.warn({ err: error, command: draft.id, type: draft.type }, 'a report could not be sent')
        await this.#pause(delayMs)
      }
    }
    // whoever follows next starts from before this batch
    throw new Error('the follower was closed before everything was reported')
  }

  #scheduleSweep(): void {
    const { clock, sweepMs } = this.#port
    this.#cancelSweep = clock.after(sweepMs, () => {
      if (this.#closed) return
      this.#sweeping = this.#sweep().finally(() => {
        if (!this.#closed) this.#scheduleSweep()
      })
    })
  }

  /** Looks for runs that stand still. What has not been read yet may say otherwise: only when nothing waits to be read. */
  async #sweep(): Promise<void> {
    if (this.#held || this.#problem !== null) return
    const { knowledge, clock, notices, log } = this.#port
    try {
      for (const run of this.#runs.values()) {
        if (!run.running || run.policy === null) continue
        const { stalls } = knowledge.policy(run.tenant, run.policy).policy
        if (!stalls || clock.nowMs() - run.lastEventAt < stalls.afterMs) continue
        const end = (await log.transport.endOffsets(this.#topic)).get(this.partition) ?? 0
        if (end > this.#nextOffset || !this.#complete) return
        for (const report of lookForStall(run, stalls.afterMs, clock.nowMs())) {
          this.#complete = false
          await this.#send(run.tenant, report, run.correlationId)
          this.#complete = true
        }
      }
    } catch (error) {
      if (!this.#closed) notices.warn({ err: error, partition: this.partition }, 'looking for stalled runs failed')
    }
  }

  async #remember(tail: Tail): Promise<void> {
    const { snapshots, notices, clock } = this.#port
    this.#sinceSnapshot = 0
    this.#snapshotAt = clock.nowMs()
    const acceptance = tail.checkpoint(this.partition)
    await storeFollowed(snapshots, this.#snapshotTopic, this.partition, { runs: this.#runs, acceptance }, notices)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#port.clock.after(ms, resolve)
    })
  }
}

interface Held {
  readonly run: string
  readonly tenant: string
  readonly correlationId: string
  readonly report: Report
}

interface RejectedData {
  readonly code: Parameters<typeof refusedCommand>[2]['code']
  readonly detail: string
}
