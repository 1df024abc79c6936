import type { Failure, JournalEntry, JsonValue } from '@omium/schemas'
import type { Ack, CallHost, PendingCall, Requester } from './port.ts'

/**
 * One call of user code on its context, from being asked to being released. What it gets is decided by the journal or by
 * the engine; when it gets it is decided by the run's release queue.
 */
export abstract class Call implements PendingCall, Requester {
  readonly run: CallHost
  readonly path: string
  readonly kind: string
  readonly requestHash: string
  readonly input: JsonValue | undefined
  readonly promise: Promise<JsonValue>
  readonly fulfil: (value: JsonValue) => void
  readonly reject: (error: unknown) => void
  /** its result is in the release queue or was released */
  settled = false

  constructor(run: CallHost, path: string, kind: string, requestHash: string, input: JsonValue | undefined) {
    this.run = run
    this.path = path
    this.kind = kind
    this.requestHash = requestHash
    this.input = input
    const { promise, resolve, reject } = Promise.withResolvers<JsonValue>()
    this.promise = promise
    this.fulfil = resolve
    this.reject = reject
  }

  /** Does it for the first time. */
  abstract start(): void
  /** Goes on from an entry that is `retrying` or `unknown`; never called before the replay is over. */
  abstract reopen(entry: JournalEntry): void
  abstract acked(ack: Ack): void

  nacked(error: Failure): void {
    this.run.refused(error, this.path)
  }

  /** What the engine says about it, live. */
  entered(entry: JournalEntry): void {
    if (this.settled) return
    switch (entry.status) {
      case 'completed':
        this.settle(entry.value, undefined)
        break
      case 'failed':
        this.settle(null, entry.error)
        break
      case 'pending':
        this.run.opened(this)
        break
      default:
        this.run.reopenWhenLive(this, entry)
    }
  }

  protected settle(value: JsonValue, failure: Failure | undefined): void {
    if (this.settled) return
    this.settled = true
    this.run.settled(this.path, value, failure)
  }
}
