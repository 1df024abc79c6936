import type { Appended, Command, OwnedPartition } from '@omium/log'
import type { CheckpointEvent, ErrorCode } from '@omium/schemas'
import type { ThreadState } from './domain/thread.ts'
import type { PartitionState } from './machine.ts'

const ignore = (): void => {}

/**
 * A partition that this process owns, as the manager writes to it.
 *
 * The state already holds what was appended and is not accepted yet; {@link accepted} tells when it is, and until then
 * nothing may leave the process because of it.
 */
export class OwnedThreads {
  readonly log: OwnedPartition<PartitionState>
  #last: Promise<unknown> = Promise.resolve()

  constructor(log: OwnedPartition<PartitionState>) {
    this.log = log
  }

  get live(): boolean {
    return this.log.live
  }

  thread(aggregate: string): ThreadState | undefined {
    return this.log.state.threads.get(aggregate)
  }

  record(command: Command, events: readonly CheckpointEvent[]): Promise<Appended> {
    const { aggregate, tenant, actor, correlationId, traceparent, id: commandId } = command.envelope
    const by = { aggregate, tenant, actor, correlationId, commandId, ...(traceparent !== undefined && { traceparent }) }
    return this.#appended(this.log.append(events.map((event) => ({ ...event, ...by }))))
  }

  /** What follows from time or from the state of the world, not from a command. */
  recordOwn(aggregate: string, tenant: string, events: readonly CheckpointEvent[]): Promise<Appended> {
    const by = { aggregate, tenant, actor: 'system', correlationId: aggregate }
    return this.#appended(this.log.append(events.map((event) => ({ ...event, ...by }))))
  }

  /** Answers a command that asks for what is already so. */
  recordDeduplicated(command: Command): Promise<Appended> {
    const { aggregate, tenant, actor, correlationId, id: commandId } = command.envelope
    const data = { commandType: command.type, outcome: 'accepted' }
    const by = { aggregate, tenant, actor, correlationId, commandId }
    return this.#appended(this.log.append([{ type: 'CommandDeduplicated', data, ...by }]))
  }

  reject(command: Command, code: ErrorCode, detail: string): Promise<Appended> {
    return this.#appended(this.log.reject(command, code, detail))
  }

  /** Resolves once everything appended so far is accepted. @throws OmiumError `log_fenced` when the partition is lost */
  async accepted(): Promise<void> {
    await this.#last
  }

  #appended(append: Promise<Appended>): Promise<Appended> {
    this.#last = append
    append.catch(ignore)
    return append
  }
}
