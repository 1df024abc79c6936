import { commandTo, MemoryPartition, silent } from '@omium/kit/testing'
import type { AcceptedEvent } from '@omium/log'
import { createPayloadStore } from '@omium/payloads'
import { createInMemoryObjectStore } from '@omium/payloads/testing'
import type { AgentDefinition, ExecutionContextCommand, ExecutionOptions, JsonValue } from '@omium/schemas'
import { aggregateKey, executionOptions, OmiumError } from '@omium/schemas'
import { Engine } from '../src/engine.ts'
import { executionMachine } from '../src/machine.ts'
import type { RunMessage, WorkerLink } from '../src/ports.ts'
import { WorkerSession } from '../src/worker-session.ts'

/** An engine on a partition in memory, with links that keep what they are told: for the host's specs. */

export class ManualClock {
  now = 1_700_000_000_000
  #waiting: { at: number; run: () => void }[] = []
  nowMs(): number {
    return this.now
  }
  after(delayMs: number, run: () => void): () => void {
    const entry = { at: this.now + delayMs, run }
    this.#waiting.push(entry)
    return () => {
      this.#waiting = this.#waiting.filter((other) => other !== entry)
    }
  }
  advance(ms: number): void {
    this.now += ms
    const due = this.#waiting.filter((entry) => entry.at <= this.now)
    this.#waiting = this.#waiting.filter((entry) => entry.at > this.now)
    for (const entry of due) entry.run()
  }
}

export type Told = { type: string; executionId?: string; attempt?: number; [key: string]: unknown }

export class KeptLink implements WorkerLink {
  readonly told: Told[] = []
  congested = false
  assign(assignment: object): void {
    this.told.push({ type: 'assign', ...assignment })
  }
  ack(executionId: string, attempt: number, seq: number, entry?: unknown, idempotencyKey?: string): void {
    this.told.push({
      type: 'ack',
      executionId,
      attempt,
      seq,
      ...(entry !== undefined && { entry }),
      ...(idempotencyKey && { idempotencyKey }),
    })
  }
  nack(executionId: string, attempt: number, seq: number, error: { code: string }): void {
    this.told.push({ type: 'nack', executionId, attempt, seq, code: error.code })
  }
  resolve(executionId: string, attempt: number, entry: unknown): void {
    this.told.push({ type: 'resolve', executionId, attempt, entry })
  }
  stop(executionId: string, attempt: number, reason: string): void {
    this.told.push({ type: 'stop', executionId, attempt, reason })
  }
  drained(): void {
    this.told.push({ type: 'drained' })
  }
}

export const tenant = 'ten_a'
export const keyOf = (executionId: string): string => aggregateKey('execution', tenant, executionId)

export const createBench = (history: readonly AcceptedEvent[] = []) => {
  const clock = new ManualClock()
  const objects = createInMemoryObjectStore()
  const stored = createPayloadStore(objects)
  const shown: object[] = []
  /** the object store is away */
  const store = { away: false }
  const unlessAway = <T>(job: () => Promise<T>): Promise<T> =>
    store.away ? Promise.reject(new OmiumError('unavailable', 'the object store is away')) : job()
  const engine = new Engine({
    payloads: {
      seal: (...value) => unlessAway(() => stored.seal(...value)),
      open: (payload) => unlessAway(() => stored.open(payload)),
    },
    clock,
    notices: silent,
    liveOutput: { publish: (tenant, executionId, delta) => shown.push({ tenant, executionId, ...delta }) },
    measures: { dispatched: () => {}, attemptLost: () => {}, requestRefused: () => {} },
  })
  const partition = new MemoryPartition(executionMachine, { nowMs: () => clock.now, history })
  engine.owned(partition)
  const bench = {
    clock,
    engine,
    partition,
    objects,
    store,
    shown,
    /** lets everything that is under way arrive */
    async settle(): Promise<void> {
      for (let i = 0; i < 12; i++) await new Promise((resolve) => setImmediate(resolve))
    },
    worker(workerId: string, slots = 10, agents: (string | AgentDefinition)[] = ['planner']) {
      const link = new KeptLink()
      const definitions = agents.map((agent) => (typeof agent === 'string' ? { agentId: agent } : agent))
      const session = new WorkerSession({ tenant, workerId, runtime: 'spec', agents: definitions, slots, link })
      engine.connect(session)
      let seq = 0
      return {
        session,
        link,
        told: (type: string) => link.told.filter((message) => message.type === type),
        say: (message: Record<string, unknown>, large = false) => engine.message(session, message as RunMessage, large),
        ask: (executionId: string, attempt: number, message: Record<string, unknown>, large = false) =>
          engine.message(session, { executionId, attempt, seq: ++seq, ...message } as unknown as RunMessage, large),
      }
    },
    start(executionId: string, options: Partial<ExecutionOptions> = {}, input: JsonValue = null) {
      return bench.send(keyOf(executionId), {
        type: 'StartExecution',
        data: {
          executionId,
          agentId: 'planner',
          input: { inline: input },
          requestHash: 'h',
          options: executionOptions.parse(options),
        },
      })
    },
    send(aggregate: string, command: ExecutionContextCommand) {
      return engine.command(partition, commandTo(aggregate, command))
    },
  }
  return bench
}

export const step = (path: string, output: JsonValue, more: Record<string, unknown> = {}) => ({
  type: 'step_completed',
  path,
  name: path,
  kind: 'step',
  stepAttempt: 1,
  requestHash: `hash-of-${path}`,
  output,
  startedAt: 1,
  durationMs: 1,
  ...more,
})

export const childStart = {
  type: 'child_start',
  path: 'c#1',
  requestHash: 'h',
  childId: 'kid',
  agentId: 'planner',
  input: 1,
  options: {},
}
