import type { Appended, Command, EventDraft, OwnedPartition } from '@omium/log'
import type { ErrorCode } from '@omium/schemas'

/** Who causes events, and in which chain of cause and effect. */
export interface Authorship {
  readonly tenant: string
  readonly actor: string
  readonly correlationId: string
  readonly commandId?: string
  readonly traceparent?: string
}

export const authorOf = ({ envelope }: Command): Authorship => ({
  tenant: envelope.tenant,
  actor: envelope.actor,
  correlationId: envelope.correlationId,
  commandId: envelope.id,
  ...(envelope.traceparent !== undefined && { traceparent: envelope.traceparent }),
})

/** What follows from accepted events alone, not from a command, carries the aggregate's own chain. */
export const bySystem = ({ tenant, correlationId }: { tenant: string; correlationId: string }): Authorship => ({
  tenant,
  actor: 'system',
  correlationId,
})

export interface HostingOptions {
  /** a callback threw: a defect, which must not end the process */
  onFault(error: unknown): void
  /**
   * Everything that was appended for this aggregate is accepted, so its state is safe to act on: send what it owes, set its
   * timers.
   */
  onSettled?(aggregate: string): void
}

const maxDetailChars = 8192
const ignore = (): void => {}

/**
 * A partition that this process owns, as a capability writes to it.
 *
 * 1. The state holds what was appended at once, accepted or not. So whatever leaves the process waits: for the promise of an
 *    append, for {@link whenAccepted}, or for `onSettled`.
 * 2. Callbacks run in the order of the log, and never for something that was not accepted.
 * 3. What the log did not take at all (an event that is too large, an aggregate that is parked) has had no effect, and holds
 *    nothing back: what was appended before it settles as if it had never been.
 * 4. Once the partition is lost nothing is called any more; its next owner derives everything from the accepted state.
 */
export class HostedPartition<S> {
  readonly log: OwnedPartition<S>
  readonly #options: HostingOptions
  readonly #settled = (): void => {
    this.#pending--
  }
  #last: Promise<unknown> = Promise.resolve()
  #pending = 0
  /** appends that are not accepted yet, by aggregate; only while somebody wants to know */
  readonly #unsettled = new Map<string, number>()

  constructor(log: OwnedPartition<S>, options: HostingOptions) {
    this.log = log
    this.#options = options
  }

  get live(): boolean {
    return this.log.live
  }

  get state(): S {
    return this.log.state
  }

  /** appends that are neither accepted nor lost yet */
  get pending(): number {
    return this.#pending
  }

  /** @param closes nothing can happen to the aggregate after these events */
  record(
    aggregate: string,
    events: readonly { readonly type: string; readonly data: unknown }[],
    by: Authorship,
    closes = false,
  ): Promise<Appended> {
    const last = events.length - 1
    const drafts: EventDraft[] = []
    for (let i = 0; i <= last; i++) {
      const { type, data } = events[i] as { type: string; data: unknown }
      drafts.push(closes && i === last ? { type, data, aggregate, ...by, closes } : { type, data, aggregate, ...by })
    }
    const version = this.log.versionOf(aggregate)
    const append = this.log.append(drafts)
    if (this.log.versionOf(aggregate) === version) {
      append.catch(ignore)
      return append
    }
    this.#last = append
    this.#count(append)
    if (this.#options.onSettled) this.#settle(aggregate, append)
    return append
  }

  /** Answers a command that asks for what is already so. */
  recordDeduplicated(command: Command): Promise<Appended> {
    const { aggregate } = command.envelope
    const data = { commandType: command.type, outcome: 'accepted' }
    return this.#answered(this.log.append([{ type: 'CommandDeduplicated', data, aggregate, ...authorOf(command) }]))
  }

  reject(command: Command, code: ErrorCode, detail: string): Promise<Appended> {
    return this.#answered(this.log.reject(command, code, detail.slice(0, maxDetailChars)))
  }

  /** Runs `then` once everything appended so far is accepted; never, when the partition is lost before. */
  whenAccepted(then: () => void): void {
    this.#last.then(then, ignore).catch((error) => this.#options.onFault(error))
  }

  /** Resolves once everything appended so far is accepted. @throws OmiumError `log_fenced` when the partition is lost */
  async accepted(): Promise<void> {
    await this.#last
  }

  #settle(aggregate: string, append: Promise<unknown>): void {
    this.#unsettled.set(aggregate, (this.#unsettled.get(aggregate) ?? 0) + 1)
    const accepted = (): void => {
      const left = (this.#unsettled.get(aggregate) ?? 1) - 1
      // later appends are in the state already: what follows from it waits for them
      if (left > 0) this.#unsettled.set(aggregate, left)
      else {
        this.#unsettled.delete(aggregate)
        if (this.live) this.#options.onSettled?.(aggregate)
      }
    }
    append.then(accepted, ignore).catch((error) => this.#options.onFault(error))
  }

  /** An answer changes no version, so whether the log took it shows only later. */
  #answered(append: Promise<Appended>): Promise<Appended> {
    const before = this.#last
    this.#last = append.catch((error: unknown) => {
      if (!this.live) throw error
      return before
    })
    // whoever asks for it hears of the loss; nobody has to ask
    this.#last.catch(ignore)
    this.#count(append)
    return append
  }

  #count(append: Promise<unknown>): void {
    this.#pending++
    // a lost partition rejects every append; whoever needs to know awaits the promise itself
    append.then(this.#settled, this.#settled)
  }
}
