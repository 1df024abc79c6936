import type { AcceptedEvent } from '@omium/log'
import { type ExecutionRecord, listEvents } from '@omium/projection-executions'
import type { Reads } from '@omium/projection-kit'
import { aggregateKey, isTerminal } from '@omium/schemas'
import type { GatewayContext } from '../context.ts'
import { eventViewOf, isTerminalEvent, liveEventView } from '../views.ts'
import type { StreamSource } from './event-stream.ts'
import type { StreamedEvent } from './outlet.ts'

const pageSize = 500

/** The events of one run after a version; versions close gaps and drop repeats. It is over after the run's terminal event. */
export const executionSource = (
  context: Pick<GatewayContext, 'live' | 'positions'>,
  reads: Reads,
  tenant: string,
  execution: ExecutionRecord,
  afterVersion: number,
  /** how long history may lag behind the live tail before it is sent as far as it is, ms */
  historyWaitMs: number,
): StreamSource => new ExecutionSource(context, reads, tenant, execution, afterVersion, historyWaitMs)

/** Keeps of the run what it needs: there are many, of runs on which nothing happens. */
class ExecutionSource implements StreamSource {
  readonly #context: Pick<GatewayContext, 'live' | 'positions'>
  readonly #reads: Reads
  readonly #tenant: string
  readonly #id: string
  readonly #partition: number
  readonly #hasEnded: boolean
  readonly #historyWaitMs: number
  #sent: number

  constructor(
    context: Pick<GatewayContext, 'live' | 'positions'>,
    reads: Reads,
    tenant: string,
    { id, partition, status }: ExecutionRecord,
    afterVersion: number,
    historyWaitMs: number,
  ) {
    this.#context = context
    this.#reads = reads
    this.#tenant = tenant
    this.#id = id
    this.#partition = partition
    this.#hasEnded = isTerminal(status)
    this.#historyWaitMs = historyWaitMs
    this.#sent = afterVersion
  }

  follow(onEvent: (event: AcceptedEvent) => void): () => void {
    return this.#context.live.subscribe(aggregateKey('execution', this.#tenant, this.#id), onEvent)
  }

  async *history(event?: StreamedEvent): AsyncIterable<StreamedEvent> {
    const { live, positions } = this.#context
    const upTo = event ? Number(event.event.position.split(':')[1]) : live.nextOffset(this.#partition) - 1
    await positions.reached(this.#partition, upTo, this.#historyWaitMs)
    for (;;) {
      const page = { afterVersion: this.#sent, limit: pageSize }
      const events = await listEvents(this.#reads, this.#tenant, this.#id, page)
      for (const one of events) yield { execution: this.#id, event: eventViewOf(one) }
      if (events.length < pageSize) return
    }
  }

  view(event: AcceptedEvent): StreamedEvent {
    return { execution: this.#id, event: liveEventView(event) }
  }

  place({ event: { version } }: StreamedEvent): 'next' | 'sent' | 'ahead' {
    if (version <= this.#sent) return 'sent'
    return version === this.#sent + 1 ? 'next' : 'ahead'
  }

  sent({ event }: StreamedEvent): void {
    this.#sent = event.version
  }

  isOver(event?: StreamedEvent): boolean {
    // resumed after the end: what followed it is sent, nothing more will come
    return event ? isTerminalEvent(event.event.type) : this.#hasEnded
  }
}
