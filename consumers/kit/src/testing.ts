import type { AcceptedEvent, Appended, Command, EventDraft, OwnedPartition, StateMachine } from '@omium/log'
import { type CommandEnvelope, type ErrorCode, OmiumError } from '@omium/schemas'
import type { Notices } from './notices.ts'
import type { Clock } from './timer-queue.ts'

/** For specs of capabilities: partitions and commands without a log. */

/** the log's own records, which change no aggregate */
const versionless = new Set(['CommandRejected', 'CommandDeduplicated'])

export interface MemoryPartitionOptions {
  nowMs?(): number
  /** what is on the log already; it outlives every owner */
  readonly history?: readonly AcceptedEvent[]
  readonly epoch?: number
}

/**
 * An owned partition for specs: applies at once and accepts when told to (or by itself), as the contract says. What it
 * sends to other aggregates is kept for the spec to look at, or to deliver.
 */
export class MemoryPartition<S> implements OwnedPartition<S> {
  readonly partition = 0
  readonly epoch: number
  state: S
  live = true
  readonly log: AcceptedEvent[] = []
  readonly sent: Parameters<OwnedPartition<S>['send']>[0][] = []
  /** accept appends in the next turn; otherwise they wait for {@link accept} */
  automatic = true
  /** the log takes nothing, as for an event that cannot be encoded */
  refusing = false
  /** sends that wait to be let go, while held */
  held: (() => void)[] | null = null
  readonly #machine: StateMachine<S>
  readonly #versions = new Map<string, number>()
  readonly #nowMs: () => number
  readonly #pending: Pending[] = []

  constructor(machine: StateMachine<S>, { nowMs = () => 0, history = [], epoch = 1 }: MemoryPartitionOptions = {}) {
    this.#machine = machine
    this.#nowMs = nowMs
    this.epoch = epoch
    this.state = machine.empty()
    for (const event of history) this.#apply(event)
  }

  versionOf(aggregate: string): number {
    return this.#versions.get(aggregate) ?? 0
  }

  append(drafts: readonly EventDraft[]): Promise<Appended> {
    if (!this.live) return Promise.reject(fenced())
    if (this.refusing) return Promise.reject(new OmiumError('internal', 'the event cannot be encoded'))
    const firstOffset = this.log.length
    for (const { type, data, ...draft } of drafts) {
      const version = versionless.has(type) ? 0 : this.versionOf(draft.aggregate) + 1
      const id = `evt_${this.log.length}`
      const envelope = { id, type, schemaVersion: 1, version, epoch: this.epoch, time: this.#nowMs(), ...draft }
      this.#apply({ envelope, type, data: JSON.parse(JSON.stringify(data)), partition: 0, offset: -1 })
    }
    return new Promise((resolve, reject) => {
      const lastOffset = this.log.length - 1
      const pending = { accept: () => resolve({ firstOffset, lastOffset }), fence: reject }
      this.#pending.push(pending)
      if (this.automatic) setImmediate(() => this.#acceptUpTo(pending))
    })
  }

  accept(): void {
    for (const { accept } of this.#pending.splice(0)) accept()
  }

  /** Another owner claims the partition. */
  fence(): void {
    this.live = false
    for (const { fence } of this.#pending.splice(0)) fence(fenced())
  }

  async send(command: (typeof this.sent)[number]): Promise<void> {
    const { held } = this
    if (held) await new Promise<void>((resolve) => held.push(resolve))
    this.sent.push(command)
  }

  reject(command: Command, code: ErrorCode, detail: string): Promise<Appended> {
    const { aggregate, tenant, actor, correlationId, id } = command.envelope
    const data = { commandType: command.type, code, detail }
    return this.append([{ type: 'CommandRejected', data, aggregate, tenant, actor, correlationId, commandId: id }])
  }

  /** types of the events, of one aggregate or of all */
  typesOf(aggregate?: string): string[] {
    const of = this.log.filter(({ envelope }) => aggregate === undefined || envelope.aggregate === aggregate)
    return of.map(({ type }) => type)
  }

  /** Accepted in the order of the appends; what was appended after this one may be meant to wait. */
  #acceptUpTo(last: Pending): void {
    const count = this.#pending.indexOf(last) + 1
    for (const { accept } of this.#pending.splice(0, count)) accept()
  }

  #apply(event: AcceptedEvent): void {
    this.log.push(event)
    const { aggregate, version } = event.envelope
    if (version === 0) return
    this.#versions.set(aggregate, version)
    this.#machine.apply(this.state, event)
  }
}

interface Pending {
  readonly accept: () => void
  readonly fence: (error: OmiumError) => void
}

const fenced = (): OmiumError => new OmiumError('log_fenced', 'the partition is lost')

let commands = 0
/** A command as it is read from the log; its tenant is that of the aggregate unless it is given. */
export const commandTo = (
  aggregate: string,
  { type, data }: { readonly type: string; readonly data: unknown },
  given: Partial<CommandEnvelope> = {},
): Command => {
  const envelope: CommandEnvelope = {
    id: `cmd_${++commands}`,
    type,
    schemaVersion: 1,
    tenant: aggregate.slice(aggregate.indexOf(':') + 1, aggregate.indexOf('/')),
    aggregate,
    correlationId: 'cor',
    actor: 'key:k',
    time: 0,
    ...given,
  }
  return { envelope, type, data, partition: 0, offset: 0 }
}

export const silent: Notices = { info: () => {}, warn: () => {}, error: () => {} }

/** Lets everything happen that is ready to happen, so many times. */
export const turns = async (count = 5): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now: number
  #waiting: { at: number; run: () => void }[] = []
  constructor(nowMs = 0) {
    this.#now = nowMs
  }
  nowMs(): number {
    return this.#now
  }
  after(delayMs: number, run: () => void): () => void {
    const entry = { at: this.#now + delayMs, run }
    this.#waiting.push(entry)
    return () => {
      this.#waiting = this.#waiting.filter((w) => w !== entry)
    }
  }
  get armed(): number {
    return this.#waiting.length
  }
  goTo(ms: number): void {
    for (;;) {
      const next = this.#waiting.filter((w) => w.at <= ms).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#waiting = this.#waiting.filter((w) => w !== next)
      this.#now = Math.max(this.#now, next.at)
      next.run()
    }
    this.#now = ms
  }
}
