import type { CommandDraft } from '@omium/log'
import type { WebhookMessage } from '@omium/schemas'
import type { Outcome } from './domain/attempt.ts'
import type { Endpoint } from './domain/endpoint.ts'
import type { PublicEvent } from './domain/public-events.ts'

/** What the capability needs from its surroundings; composition roots and specs provide it. */

/** Puts a command on a context's log, at least once. @throws OmiumError; the command may be there all the same */
export interface Commands {
  send(command: CommandDraft): Promise<unknown>
}

/** Sends one message once. */
export interface Sender {
  /** Never rejects but for what is no outcome of the attempt: the secrets cannot be had, the process ends. */
  attempt(endpoint: Endpoint, message: WebhookMessage): Promise<Outcome>
}

/** The endpoints of all tenants. */
export interface Endpoints {
  /** Resolves when everything is known that was on the log when it was called. */
  current(): Promise<void>
  of(tenant: string): Iterable<SubscribedEndpoint>
}

export interface SubscribedEndpoint extends Pick<Endpoint, 'id' | 'spec' | 'createdAt'> {}

/** Public events of the past. */
export interface History {
  /** one after the other, of one tenant, of times from `from` up to and without `to` */
  read(tenant: string, from: number, to: number, take: (event: PublicEvent) => Promise<void>): Promise<void>
}

/** What the capability measures as it goes. */
export interface WebhookMeasures {
  attempted(result: string, tookMs: number): void
}
