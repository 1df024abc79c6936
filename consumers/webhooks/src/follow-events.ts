import type { Clock, EventReader, Following, Work } from '@omium/kit'
import type { AcceptedEvent, LogContext } from '@omium/log'
import {
  aggregateKey,
  type EventEnvelope,
  type ExecutionEvent,
  hashJson,
  type IncidentEvent,
  type WebhookEndpointCommand,
} from '@omium/schemas'
import { type About, derive, isWanted, messageOf, type PublicEvent, watchedTypes } from './domain/public-events.ts'
import { messageIdOf } from './message-id.ts'
import type { Commands, Endpoints } from './ports.ts'

/**
 * Follows a context and asks the endpoints that are subscribed to deliver what happens, as commands to the webhook context.
 *
 * 1. A command's id is made from endpoint and event, so each is decided once however often it is sent.
 * 2. What was on the log before the first reader began, or a reader that has lost its place, is asked for only where it is of
 *    the last days and happened after the endpoint was created. Later events are asked for whatever clocks say.
 */
export interface FollowEventsPort {
  /** the context that is followed */
  readonly log: LogContext
  /** to the webhook context */
  readonly commands: Commands
  readonly endpoints: Endpoints
  readonly clock: Clock
}

/** changes with whatever `derive` does otherwise with the same events */
const version = 1
/** replays begin where a reader was: see `history.ts` */
const landmarkEvery = 50_000
/** what is older is delivered by a replay only */
const oldestMs = 3 * 86_400_000

export type Memory = readonly [aggregate: string, about: About][]

export interface Telling extends Work {
  readonly event: PublicEvent
  readonly correlationId: string
  /** it was there before this reader */
  readonly isOld: boolean
}

export const followEvents = (port: FollowEventsPort): Following<Memory, Telling> => ({
  context: port.log,
  name: 'webhooks',
  version,
  landmarkEvery,
  begin: (memory, { endOffset }) => new PublicEventReader(port, memory, endOffset),
})

class PublicEventReader implements EventReader<Memory, Telling> {
  readonly #port: FollowEventsPort
  readonly #subjects: Map<string, About>
  readonly #oldUntil: number

  constructor(port: FollowEventsPort, memory: Memory | null, endOffset: number) {
    this.#port = port
    this.#subjects = new Map(memory)
    this.#oldUntil = memory ? 0 : endOffset
  }

  get size(): number {
    return this.#subjects.size
  }

  wants({ type }: EventEnvelope): boolean {
    return watchedTypes.has(type)
  }

  observe({ envelope, type, data, offset }: AcceptedEvent): readonly Telling[] {
    const { id, aggregate, tenant, time, correlationId } = envelope
    const event = { type, data } as ExecutionEvent | IncidentEvent
    const isOld = offset < this.#oldUntil
    const told = derive(this.#subjects, { id, aggregate, tenant, time, event })
    return told.map((one) => ({ aggregate, event: one, correlationId, isOld }))
  }

  async perform({ event, correlationId, isOld }: Telling): Promise<void> {
    const { endpoints, commands, clock } = this.#port
    const { tenant, time, eventId, type } = event
    if (isOld && time < clock.nowMs() - oldestMs) return
    await endpoints.current()
    for (const { id, spec, createdAt } of endpoints.of(tenant)) {
      if ((isOld && time < createdAt) || !isWanted(spec, event)) continue
      const message = messageOf(messageIdOf(id, eventId, type), event)
      const command: WebhookEndpointCommand = { type: 'DeliverWebhook', data: { message, origin: 'event' } }
      await commands.send({
        id: `cmd_deliver_${hashJson([tenant, message.id]).slice(0, 32)}`,
        ...command,
        aggregate: aggregateKey('webhook_endpoint', tenant, id),
        tenant,
        actor: 'system',
        correlationId,
      })
    }
  }

  memory(): Memory {
    return [...this.#subjects]
  }
}
