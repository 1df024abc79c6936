import { ContextView, type ContextViewOptions } from '@omium/kit'
import type { AcceptedEvent } from '@omium/log'
import { parseAggregateKey, type WebhookEndpointEvent } from '@omium/schemas'
import type { Endpoints, SubscribedEndpoint } from './ports.ts'

/**
 * The enabled endpoints of all tenants: a fold of the webhook events of all partitions, in every process.
 *
 * 1. What was on the log when {@link current} was called is known when it resolves. So an endpoint whose creation was answered
 *    before an event happened is known when the event is looked at: from its answer on, an endpoint misses nothing.
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

export class EndpointBook implements Endpoints {
  readonly #tenants = new Map<string, Map<string, Known>>()
  readonly #view: ContextView

  /** @param port the webhook context, a clock, and where to complain */
  constructor(port: Pick<ContextViewOptions, 'context' | 'clock' | 'notices'>) {
    this.#view = new ContextView({
      ...port,
      wants: ({ type }) => wanted.has(type),
      learn: (event) => this.#learn(event),
    })
  }

  /** Reads on until it is closed, once what is on the log now is known. */
  async open(): Promise<void> {
    await this.#view.open()
    await this.current()
  }

  close(): Promise<void> {
    return this.#view.close()
  }

  current(): Promise<void> {
    return this.#view.current()
  }

  of(tenant: string): SubscribedEndpoint[] {
    return [...(this.#tenants.get(tenant)?.values() ?? [])].filter(({ enabled }) => enabled)
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
