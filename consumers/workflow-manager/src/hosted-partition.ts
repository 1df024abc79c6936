import type { Appended, Command, EventDraft, OwnedPartition } from '@omium/log'
import type { WorkflowContextEvent } from '@omium/schemas'
import type { PartitionState } from './machine.ts'
import type { Following } from './ports.ts'

/** Who causes events, and in which chain of cause and effect. */
export interface Authorship {
  readonly tenant: string
  readonly actor: string
  readonly correlationId: string
  readonly commandId?: string
  readonly traceparent?: string
}

export const authorOf = (command: Command): Authorship => ({
  tenant: command.envelope.tenant,
  actor: command.envelope.actor,
  correlationId: command.envelope.correlationId,
  commandId: command.envelope.id,
  ...(command.envelope.traceparent !== undefined && { traceparent: command.envelope.traceparent }),
})

/**
 * A partition that this process owns, as the manager writes to it. The state already holds what was appended; what follows
 * from it waits until everything appended for the aggregate is accepted.
 */
export class HostedPartition {
  readonly log: OwnedPartition<PartitionState>
  /** ids of what was sent or is being sent, by aggregate, as long as it is owed */
  readonly sent = new Map<string, Set<string>>()
  /** the end of each aggregate's queue of things to send */
  readonly sending = new Map<string, Promise<void>>()
  /** when each schedule is looked at next */
  readonly armed = new Map<string, number>()
  /** topics that triggers follow, by aggregate */
  readonly topics = new Map<string, { readonly topic: string; readonly following: Following }>()
  ends: Following | undefined
  readonly #last = new Map<string, Promise<unknown>>()
  readonly #settle: (partition: HostedPartition, aggregate: string) => void

  constructor(log: OwnedPartition<PartitionState>, settle: (partition: HostedPartition, aggregate: string) => void) {
    this.log = log
    this.#settle = settle
  }

  get live(): boolean {
    return this.log.live
  }

  record(aggregate: string, events: readonly WorkflowContextEvent[], by: Authorship): Promise<Appended> {
    const drafts: EventDraft[] = events.map(({ type, data }) => ({ type, data, aggregate, ...by }))
    const append = this.log.append(drafts)
    this.#last.set(aggregate, append)
    append.then(
      () => {
        if (this.#last.get(aggregate) !== append) return
        this.#last.delete(aggregate)
        if (this.live) this.#settle(this, aggregate)
      },
      () => undefined,
    )
    return append
  }

  /** Answers a command that asks for what is already so. */
  recordDeduplicated(command: Command): Promise<Appended> {
    const { aggregate } = command.envelope
    const data = { commandType: command.type, outcome: 'accepted' }
    return this.log.append([{ type: 'CommandDeduplicated', data, aggregate, ...authorOf(command) }])
  }
}
