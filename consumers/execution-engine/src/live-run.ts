import type { HostedPartition } from './hosted-partition.ts'
import { PatientPayloads } from './patience.ts'
import type { Payloads } from './ports.ts'
import type { WorkerSession } from './worker-session.ts'

/**
 * The live attempt of a run on a worker.
 *
 * Two lanes keep the order of an execution over work that takes time: `incoming` while a large value is stored before its
 * request is decided, `outgoing` while a stored value is fetched before its message is sent. A lane that is idle costs
 * nothing: what passes it is called at once.
 */
export class LiveRun {
  readonly partition: HostedPartition
  readonly aggregate: string
  readonly executionId: string
  readonly attempt: number
  readonly session: WorkerSession
  /** values of this run; waits for an object store that is away as long as the attempt lives */
  readonly payloads: Payloads
  readonly incoming = new Lane()
  readonly outgoing = new Lane()
  lastSeq = 0
  /** requests that draw on the run's budget and are not decided yet */
  claims = 0
  /** until when such requests are gathered, ms since the epoch */
  gatheringUntil = 0
  waiting = false
  ended = false

  constructor(
    partition: HostedPartition,
    aggregate: string,
    executionId: string,
    attempt: number,
    session: WorkerSession,
    store: { readonly payloads: Payloads; delay(ms: number): Promise<void> },
  ) {
    this.partition = partition
    this.aggregate = aggregate
    this.executionId = executionId
    this.attempt = attempt
    this.session = session
    this.payloads = new PatientPayloads(
      store.payloads,
      (ms) => store.delay(ms),
      () => !this.ended && partition.live,
    )
  }
}

/** Runs jobs one after the other, and synchronously as long as none of them is asynchronous. Jobs see to their own failures. */
export class Lane {
  #tail: Promise<void> | null = null

  get idle(): boolean {
    return this.#tail === null
  }

  run(job: () => Promise<void> | undefined): void {
    if (this.#tail) {
      this.#follow(this.#tail.then(job))
      return
    }
    const pending = job()
    if (pending) this.#follow(pending)
  }

  #follow(pending: Promise<void>): void {
    const tail = pending.finally(() => {
      if (this.#tail === tail) this.#tail = null
    })
    this.#tail = tail
  }
}
