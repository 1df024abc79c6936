import type { AgentDefinition } from '@omium/schemas'
import TinyQueue from 'tinyqueue'
import type { HostedPartition } from './hosted-partition.ts'
import type { WorkerSession } from './worker-session.ts'

/**
 * Brings runs that can go on and workers with free slots together, for each tenant and agent.
 *
 * 1. A larger priority goes first, then the older request.
 * 2. A waiting run is in its queue once; whether it still waits is checked when it is taken out.
 * 3. A session gets at most as many active runs as it has slots; runs that only wait there hold none.
 * 4. A run that avoids a worker is held back from it while another one is connected, busy or not, for
 *    {@link avoidancePatienceMs} at most; then whoever is free may have it.
 */
export interface WaitingRun {
  readonly partition: HostedPartition
  readonly aggregate: string
  readonly tenant: string
  readonly agentId: string
  readonly priority: number
  readonly requestedAt: number
  /** goes to this worker only when no other comes into question */
  readonly avoidedWorker: string | null
  /** since when a worker could have had it, ms */
  readonly since: number
}

/** so long a run waits for another worker than the one that it avoids */
export const avoidancePatienceMs = 5_000

/** Starts the run on this session, or says false when the run does not wait any more. */
export type StartRun = (run: WaitingRun, session: WorkerSession) => boolean

const keyOf = (tenant: string, agentId: string): string => `${tenant}/${agentId}`

type RunQueue = TinyQueue<WaitingRun>

/** negative when `a` goes first */
const byUrgency = (a: WaitingRun, b: WaitingRun): number => b.priority - a.priority || a.requestedAt - b.requestedAt

export class Dispatcher {
  readonly #start: StartRun
  readonly #queues = new Map<string, RunQueue>()
  readonly #sessions = new Map<string, Set<WorkerSession>>()
  /** runs of each queue that are held back from the worker they avoid */
  readonly #heldBack = new Map<string, WaitingRun[]>()
  readonly #nowMs: () => number
  #waiting = 0

  constructor(start: StartRun, nowMs: () => number) {
    this.#start = start
    this.#nowMs = nowMs
  }

  get waiting(): number {
    return this.#waiting
  }

  /** The agent as the worker that connected last describes it; undefined while nobody here runs it. */
  definitionOf(tenant: string, agentId: string): AgentDefinition | undefined {
    let last: AgentDefinition | undefined
    for (const { agents } of this.#sessions.get(keyOf(tenant, agentId)) ?? []) {
      last = agents.find((agent) => agent.agentId === agentId) ?? last
    }
    return last
  }

  addSession(session: WorkerSession): void {
    for (const { agentId } of session.agents) {
      const key = keyOf(session.tenant, agentId)
      const sessions = this.#sessions.get(key)
      if (sessions) sessions.add(session)
      else this.#sessions.set(key, new Set([session]))
    }
    this.fill(session)
  }

  removeSession(session: WorkerSession): void {
    for (const { agentId } of session.agents) {
      const key = keyOf(session.tenant, agentId)
      const sessions = this.#sessions.get(key)
      sessions?.delete(session)
      if (sessions?.size === 0) this.#sessions.delete(key)
      this.#release(key, (run) => this.#mayHave(run, run.avoidedWorker))
      this.#drain(key, session.tenant, agentId)
    }
  }

  /** The least loaded session that can take a run of this agent now; the avoided worker's only when it is the last. */
  freeSession(tenant: string, agentId: string, avoidedWorker: string | null = null): WorkerSession | undefined {
    let best: WorkerSession | undefined
    let avoided: WorkerSession | undefined
    for (const session of this.#sessions.get(keyOf(tenant, agentId)) ?? []) {
      if (session.freeSlots <= 0) continue
      if (session.workerId === avoidedWorker) avoided = session
      else if (!best || session.freeSlots > best.freeSlots) best = session
    }
    return best ?? avoided
  }

  /** True when somebody of this agent's queue would have to be overtaken. */
  hasWaiting(tenant: string, agentId: string): boolean {
    return (this.#queues.get(keyOf(tenant, agentId))?.length ?? 0) > 0
  }

  /** Queues the run; for one that is queued already, looks whether it has been held back for long enough. */
  offer(run: WaitingRun): void {
    const { partition, aggregate, tenant, agentId } = run
    const key = keyOf(tenant, agentId)
    if (partition.queued.has(aggregate)) this.#release(key, (held) => this.#mayHave(held, held.avoidedWorker))
    else {
      partition.queued.add(aggregate)
      this.#waiting++
      this.#push(key, run)
    }
    this.#drain(key, tenant, agentId)
  }

  #push(key: string, run: WaitingRun): void {
    const queue = this.#queues.get(key) ?? new TinyQueue<WaitingRun>([], byUrgency)
    if (queue.length === 0) this.#queues.set(key, queue)
    queue.push(run)
  }

  /** Starts runs of a queue as long as somebody has a slot free. */
  #drain(key: string, tenant: string, agentId: string): void {
    const queue = this.#queues.get(key)
    if (!queue) return
    for (let session = this.freeSession(tenant, agentId); session; session = this.freeSession(tenant, agentId)) {
      if (!this.#startHead(key, queue, session)) return
    }
  }

  /** Invariant 4. */
  #mayHave({ tenant, agentId, avoidedWorker, since }: WaitingRun, workerId: string | null): boolean {
    if (avoidedWorker === null || avoidedWorker !== workerId) return true
    if (this.#nowMs() - since >= avoidancePatienceMs) return true
    for (const other of this.#sessions.get(keyOf(tenant, agentId)) ?? []) {
      if (other.workerId !== avoidedWorker && !other.draining && !other.closed) return false
    }
    return true
  }

  /** Puts runs that were held back into their queue again. */
  #release(key: string, fits: (run: WaitingRun) => boolean): void {
    const held = this.#heldBack.get(key)
    if (!held) return
    const kept: WaitingRun[] = []
    for (const run of held) {
      if (fits(run)) this.#push(key, run)
      else kept.push(run)
    }
    if (kept.length === 0) this.#heldBack.delete(key)
    else this.#heldBack.set(key, kept)
  }

  /** Gives a session with free slots what it can run. */
  fill(session: WorkerSession): void {
    if (this.#heldBack.size > 0 && session.freeSlots > 0) {
      for (const { agentId } of session.agents) {
        this.#release(keyOf(session.tenant, agentId), (run) => this.#mayHave(run, session.workerId))
      }
    }
    while (session.freeSlots > 0) {
      let bestKey: string | undefined
      let best: WaitingRun | undefined
      // of the agents with waiting runs and the agents of the session, the fewer
      const keys =
        this.#queues.size < session.agents.length
          ? this.#queues.keys()
          : session.agents.map((agent) => keyOf(session.tenant, agent.agentId))
      for (const key of keys) {
        const head = this.#queues.get(key)?.peek()
        if (head && this.#sessions.get(key)?.has(session) && (!best || byUrgency(head, best) < 0)) {
          best = head
          bestKey = key
        }
      }
      const queue = bestKey === undefined ? undefined : this.#queues.get(bestKey)
      if (bestKey === undefined || !queue) return
      this.#startHead(bestKey, queue, session)
    }
  }

  /** Forgets what waits on a partition that is gone. */
  dropPartition(partition: HostedPartition): void {
    for (const [key, queue] of this.#queues) {
      const kept = queue.data.filter((run) => run.partition !== partition)
      this.#waiting -= queue.length - kept.length
      if (kept.length === 0) this.#queues.delete(key)
      else this.#queues.set(key, new TinyQueue(kept, byUrgency))
    }
    for (const [key, held] of this.#heldBack) {
      const kept = held.filter((run) => run.partition !== partition)
      this.#waiting -= held.length - kept.length
      if (kept.length === 0) this.#heldBack.delete(key)
      else this.#heldBack.set(key, kept)
    }
    partition.queued.clear()
  }

  /** Starts the first run of the queue that still waits, and that this session may have; false when the queue ran empty. */
  #startHead(key: string, queue: RunQueue, session: WorkerSession): boolean {
    for (let run = queue.pop(); run; run = queue.pop()) {
      if (queue.length === 0) this.#queues.delete(key)
      const { tenant, agentId, avoidedWorker } = run
      const other = avoidedWorker === session.workerId && this.freeSession(tenant, agentId, avoidedWorker)
      const taker = other || session
      if (!this.#mayHave(run, taker.workerId)) {
        this.#heldBack.set(key, [...(this.#heldBack.get(key) ?? []), run])
        continue
      }
      this.#waiting--
      run.partition.queued.delete(run.aggregate)
      if (this.#start(run, taker)) return queue.length > 0
    }
    return false
  }
}
