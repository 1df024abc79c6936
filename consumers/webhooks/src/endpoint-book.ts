import { type Clock, keepReading, type Notices, type Reading } from '@omium/kit'
import { type AcceptedEvent, type LogContext, openTail } from '@omium/log'
import { eventsTopic, parseAggregateKey, type WebhookEndpointEvent } from '@omium/schemas'
import type { Endpoints, SubscribedEndpoint } from './ports.ts'

/**
 * The enabled endpoints of all tenants: a fold of the webhook events of all partitions, in every process.
 *
 * 1. {@link current} asks the log how far it is and waits until that is known. So an endpoint whose creation was answered before
 *    an event happened is known when the event is looked at: from its answer on, an endpoint misses nothing.
 * 2. It only says who is subscribed; whether something is delivered is decided by the endpoint.
 */
const wanted: ReadonlySet<string> = new Set<WebhookEndpointEvent['type']>([
  'WebhookEndpointCreated',
  'WebhookEndpointChanged',
  'WebhookEndpointEnabled',
  'WebhookEndpointDisabled',
  'WebhookEndpointRemoved',
])

interface Known extends SubscribedEndpoint {
  readonly enabled: boolean
}

interface EndpointBookPort {
  /** the webhook context */
  readonly context: LogContext
  readonly clock: Clock
  readonly notices: Notices
}

export class EndpointBook implements Endpoints {
  readonly #port: EndpointBookPort
  readonly #topic: string
  readonly #tenants = new Map<string, Map<string, Known>>()
  readonly #positions = new Map<number, number>()
  #waiting: { readonly ends: ReadonlyMap<number, number>; readonly resolve: () => void }[] = []
  #asking: Promise<void> | undefined
  #next: Promise<void> | undefined
  #reading: Reading | undefined

  constructor(port: EndpointBookPort) {
    this.#port = port
    this.#topic = eventsTopic(port.context.topicPrefix, port.context.definition.name)
  }

  /** Reads on for ever, once what is on the log now is known. */
  async open(): Promise<void> {
    const { context, clock, notices } = this.#port
    const ends = await context.transport.endOffsets(this.#topic)
    for (const partition of ends.keys()) this.#positions.set(partition, 0)
    this.#reading = keepReading({
      clock,
      open: () =>
        openTail(
          context,
          [...this.#positions].map(([partition, fromOffset]) => ({ partition, fromOffset })),
          { wants: ({ type }) => wanted.has(type) },
        ),
      take: async (batch) => {
        for (const event of batch.events) this.#learn(event)
        this.#positions.set(batch.partition, batch.nextOffset)
        this.#release()
      },
      onFailure: (error) => notices.warn({ err: error }, 'the webhook events are read anew'),
    })
    await this.#reached(ends)
  }

  async close(): Promise<void> {
    await this.#reading?.close()
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  of(tenant: string): SubscribedEndpoint[] {
    return [...(this.#tenants.get(tenant)?.values() ?? [])].filter(({ enabled }) => enabled)
  }

  /** Many at once share a question, but never one that was asked before they came. */
  async current(): Promise<void> {
    if (!this.#asking) {
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined
      })
      return this.#asking
    }
    this.#next ??= this.#asking
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.current()
      })
    return this.#next
  }

  async #ask(): Promise<void> {
    await this.#reached(await this.#port.context.transport.endOffsets(this.#topic))
  }

  #reached(ends: ReadonlyMap<number, number>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ ends, resolve })
    this.#release()
    return promise
  }

  #release(): void {
    this.#waiting = this.#waiting.filter(({ ends, resolve }) => {
      const isThere = [...ends].every(([partition, end]) => (this.#positions.get(partition) ?? 0) >= end)
      if (isThere) resolve()
      return !isThere
    })
  }

  #learn({ envelope, type, data }: AcceptedEvent): void {
    const { tenant, aggregate, time } = envelope
    const id = parseAggregateKey(aggregate)?.id ?? ''
    const endpoints = this.#tenants.get(tenant) ?? new Map<string, Known>()
    this.#tenants.set(tenant, endpoints)
    const event = { type, data } as WebhookEndpointEvent
    const known = endpoints.get(id)
    if (event.type === 'WebhookEndpointCreated')
      endpoints.set(id, { id, spec: event.data.spec, createdAt: time, enabled: true })
    else if (!known) return
    else if (event.type === 'WebhookEndpointChanged') endpoints.set(id, { ...known, spec: event.data.spec })
    else if (event.type === 'WebhookEndpointEnabled') endpoints.set(id, { ...known, enabled: true })
    else if (event.type === 'WebhookEndpointDisabled') endpoints.set(id, { ...known, enabled: false })
    else endpoints.delete(id)
  }
}
