import type { AgentDefinition } from '@omium/schemas'
import type { LiveRun } from './live-run.ts'
import type { WorkerLink } from './ports.ts'

/** A connected worker, as the engine sees it: what it can run, how much, and what it holds. */
export class WorkerSession {
  readonly tenant: string
  readonly workerId: string
  readonly runtime: string
  readonly agents: readonly AgentDefinition[]
  readonly slots: number
  readonly link: WorkerLink
  /** by execution id; a session belongs to one tenant */
  readonly runs = new Map<string, LiveRun>()
  draining = false
  closed = false
  #active = 0

  constructor(hello: {
    tenant: string
    workerId: string
    runtime: string
    agents: readonly AgentDefinition[]
    slots: number
    link: WorkerLink
  }) {
    this.tenant = hello.tenant
    this.workerId = hello.workerId
    this.runtime = hello.runtime
    this.agents = hello.agents
    this.slots = hello.slots
    this.link = hello.link
  }

  get freeSlots(): number {
    return this.draining || this.closed || this.link.congested ? 0 : this.slots - this.#active
  }

  get activeRuns(): number {
    return this.#active
  }

  hold(run: LiveRun): void {
    this.runs.set(run.executionId, run)
    this.#active++
  }

  release(run: LiveRun): void {
    if (this.runs.get(run.executionId) !== run) return
    this.runs.delete(run.executionId)
    if (!run.waiting) this.#active--
  }

  /** a run that only waits holds no slot */
  setWaiting(run: LiveRun, waiting: boolean): void {
    if (run.waiting === waiting) return
    run.waiting = waiting
    this.#active += waiting ? -1 : 1
  }

  drain(): void {
    this.draining = true
    this.confirmDrained()
  }

  /** Tells a draining worker that it may go; called after the last word about each run. */
  confirmDrained(): void {
    if (this.draining && this.runs.size === 0) this.link.drained()
  }
}
