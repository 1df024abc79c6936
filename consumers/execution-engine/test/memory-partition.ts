import type { AcceptedEvent, Appended, Command, EventDraft, OwnedPartition } from '@omium/log'
import { type CommandEnvelope, type ErrorCode, type ExecutionContextCommand, OmiumError } from '@omium/schemas'
import { executionMachine, type PartitionState } from '../src/machine.ts'

const versionless = new Set(['CommandRejected', 'CommandDeduplicated'])

/**
 * An owned partition for specs: applies at once and accepts when told to (or by itself), as the contract says. What it
 * sends to other aggregates is kept for the spec to look at, or to deliver.
 */
export class MemoryPartition implements OwnedPartition<PartitionState> {
  readonly partition = 0
  readonly epoch = 1
  state: PartitionState
  live = true
  readonly log: AcceptedEvent[] = []
  readonly sent: {
    id: string
    type: string
    data: unknown
    aggregate: string
    tenant: string
    correlationId: string
  }[] = []
  /** accept appends in the next turn; otherwise they wait for {@link accept} */
  automatic = true
  /** the log takes nothing, as for an event that cannot be encoded */
  refusing = false
  #versions = new Map<string, number>()
  #pending: (() => void)[] = []
  readonly #nowMs: () => number

  constructor(nowMs: () => number, history: readonly AcceptedEvent[] = []) {
    this.#nowMs = nowMs
    this.state = executionMachine.empty()
    for (const event of history) this.#apply(event)
  }

  #apply(event: AcceptedEvent): void {
    this.log.push(event)
    if (event.envelope.version === 0) return
    this.#versions.set(event.envelope.aggregate, event.envelope.version)
    executionMachine.apply(this.state, event)
  }

  versionOf(aggregate: string): number {
    return this.#versions.get(aggregate) ?? 0
  }

  append(drafts: readonly EventDraft[]): Promise<Appended> {
    if (!this.live) return Promise.reject(new OmiumError('log_fenced', 'the partition is lost'))
    if (this.refusing) return Promise.reject(new OmiumError('internal', 'the event cannot be encoded'))
    const firstOffset = this.log.length
    for (const { type, data, ...draft } of drafts) {
      const version = versionless.has(type) ? 0 : this.versionOf(draft.aggregate) + 1
      const envelope = {
        id: `evt_${this.log.length}`,
        type,
        schemaVersion: 1,
        version,
        epoch: 1,
        time: this.#nowMs(),
        ...draft,
      }
      this.#apply({ envelope, type, data: JSON.parse(JSON.stringify(data)), partition: 0, offset: -1 })
    }
    return new Promise((resolve) => {
      this.#pending.push(() => resolve({ firstOffset, lastOffset: this.log.length - 1 }))
      if (this.automatic) setImmediate(() => this.accept())
    })
  }

  accept(): void {
    for (const resolve of this.#pending.splice(0)) resolve()
  }

  /** sends that wait for {@link release}, while held */
  held: (() => void)[] | null = null

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

  /** types of the events of one aggregate */
  typesOf(aggregate: string): string[] {
    return this.log.filter((event) => event.envelope.aggregate === aggregate).map((event) => event.type)
  }
}

let commands = 0
export const commandTo = (aggregate: string, command: ExecutionContextCommand, id = `cmd_${++commands}`): Command => {
  const envelope: CommandEnvelope = {
    id,
    type: command.type,
    schemaVersion: 1,
    tenant: aggregate.slice(aggregate.indexOf(':') + 1, aggregate.indexOf('/')),
    aggregate,
    correlationId: 'cor',
    actor: 'key:k',
    time: 0,
  }
  return { envelope, type: command.type, data: command.data, partition: 0, offset: 0 }
}
