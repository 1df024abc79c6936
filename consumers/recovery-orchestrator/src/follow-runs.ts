import type { Clock, EventReader, Following, Work } from '@omium/kit'
import type { AcceptedEvent, LogContext } from '@omium/log'
import { aggregateKey, type EventEnvelope, type ExecutionEvent, executionEvents, hashJson } from '@omium/schemas'
import { followed, lookForStall, observe, type Report, type RunView, refusedCommand } from './domain/run.ts'
import type { KnowledgeBook } from './knowledge.ts'
import type { Commands } from './ports.ts'

/**
 * Follows the executions that ask for recovery and reports what their events mean to incidents, as commands to the recovery
 * context.
 *
 * 1. A report's id is made from what it reports, so each has one effect however often it is sent.
 * 2. From the beginning of the log everything is read in silence up to its present end. Of what it finds there no failure is
 *    reported that is over, but every end is: an incident may have been open when the last follower died.
 * 3. It changes nothing by itself: it only tells.
 */
export interface FollowRunsPort {
  /** the execution context */
  readonly log: LogContext
  /** to the recovery context */
  readonly commands: Commands
  readonly knowledge: Pick<KnowledgeBook, 'policy'>
  readonly clock: Clock
  readonly sweepMs: number
}

/** changes with whatever `observe` does otherwise with the same events */
const version = 5

export interface RunReport extends Work {
  readonly tenant: string
  readonly correlationId: string
  readonly report: Report
}

const encodeRun = (run: RunView) => ({
  ...run,
  seen: [...run.seen],
  children: [...run.children],
  working: [...run.working],
  waits: [...run.waits],
  effects: { ...run.effects, intents: [...run.effects.intents] },
})
type EncodedRun = ReturnType<typeof encodeRun>
type Memory = readonly [aggregate: string, run: EncodedRun][]

const decodeRun = (run: EncodedRun): RunView => ({
  ...run,
  seen: new Set(run.seen),
  children: new Map(run.children),
  working: new Set(run.working),
  waits: new Set(run.waits),
  effects: { ...run.effects, intents: new Map(run.effects.intents) },
})

export const followRuns = (port: FollowRunsPort): Following<Memory, RunReport> => ({
  context: port.log,
  name: 'recovery',
  version,
  sweepMs: port.sweepMs,
  begin: (memory, { endOffset }) => new RunReader(port, memory, endOffset),
})

class RunReader implements EventReader<Memory, RunReport> {
  readonly #port: FollowRunsPort
  readonly #runs: Map<string, RunView>
  /** began within the batch that is being read: not known yet whether they are to be followed */
  readonly #candidates = new Set<string>()
  /** reports of the silent part, until its end is reached; null afterwards */
  #held: RunReport[] | null
  readonly #silentUntil: number

  constructor(port: FollowRunsPort, memory: Memory | null, endOffset: number) {
    this.#port = port
    this.#runs = new Map(memory?.map(([aggregate, run]) => [aggregate, decodeRun(run)]))
    this.#held = memory || endOffset === 0 ? null : []
    this.#silentUntil = endOffset
  }

  get size(): number {
    return this.#runs.size
  }

  wants({ type, aggregate }: EventEnvelope): boolean {
    if (type !== 'ExecutionRequested') return this.#runs.has(aggregate) || this.#candidates.has(aggregate)
    this.#candidates.add(aggregate)
    return true
  }

  observe(event: AcceptedEvent): readonly RunReport[] {
    const { aggregate, tenant, correlationId } = event.envelope
    const reports = this.#reportsOf(event).map((report) => ({ aggregate, tenant, correlationId, report }))
    if (!this.#held) return reports
    this.#held.push(...reports)
    return []
  }

  batchRead(nextOffset: number): readonly RunReport[] {
    this.#candidates.clear()
    if (!this.#held || nextOffset < this.#silentUntil) return []
    const held = this.#held
    this.#held = null
    return held.filter(({ aggregate, report: { command, incident } }) => {
      const begins = command.type === 'ReportFailure' || command.type === 'ProposeIntervention'
      return !begins || this.#runs.get(aggregate)?.incident?.id === incident
    })
  }

  /** Looks for runs that stand still. What has not been read yet may say otherwise: only when nothing waits to be read. */
  async sweep(isCurrent: () => Promise<boolean>): Promise<readonly RunReport[]> {
    if (this.#held) return []
    const nowMs = this.#port.clock.nowMs()
    const still = [...this.#runs].flatMap(([aggregate, run]) => {
      const afterMs = this.#stallsAfter(run)
      return afterMs !== null && nowMs - run.lastEventAt >= afterMs ? [{ aggregate, run, afterMs }] : []
    })
    if (still.length === 0 || !(await isCurrent())) return []
    return still.flatMap(({ aggregate, run, afterMs }) => {
      const { tenant, correlationId } = run
      return lookForStall(run, afterMs, nowMs).map((report) => ({ aggregate, tenant, correlationId, report }))
    })
  }

  async perform({ tenant, correlationId, report: { incident, key, command } }: RunReport): Promise<void> {
    await this.#port.commands.send({
      id: `cmd_report_${hashJson([tenant, incident, key]).slice(0, 32)}`,
      type: command.type,
      data: command.data,
      aggregate: aggregateKey('incident', tenant, incident),
      tenant,
      actor: 'system',
      correlationId,
    })
  }

  memory(): Memory | null {
    return this.#held ? null : [...this.#runs].map(([aggregate, run]) => [aggregate, encodeRun(run)])
  }

  #stallsAfter({ running, policy, tenant }: RunView): number | null {
    if (!running || policy === null) return null
    return this.#port.knowledge.policy(tenant, policy).policy.stalls?.afterMs ?? null
  }

  #reportsOf({ envelope, type, data }: AcceptedEvent): Report[] {
    const { aggregate, tenant, correlationId, time, version: runVersion, commandId } = envelope
    const context = { tenant, correlationId, time, version: runVersion }
    if (type === 'ExecutionRequested') {
      const requested = { type, data } as Extract<ExecutionEvent, { type: 'ExecutionRequested' }>
      const run = followed(requested.data, context)
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
    const reports = observe(run, { type, data } as ExecutionEvent, context, { loops })
    if (run.terminal) this.#runs.delete(aggregate)
    return reports
  }
}

interface RejectedData {
  readonly code: Parameters<typeof refusedCommand>[2]['code']
  readonly detail: string
}
