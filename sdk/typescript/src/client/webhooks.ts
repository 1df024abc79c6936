import type {
  changeWebhookBody,
  createWebhookBody,
  WebhookDeliveryDetail,
  WebhookDeliveryReceipt,
  WebhookDeliveryView,
  WebhookEventType,
  WebhookReceipt,
  WebhookReplayReceipt,
  WebhookReplayView,
  WebhookSecretReceipt,
  WebhookView,
} from '@omium/schemas'
import type { z } from 'zod'
import type { Http } from './http.ts'
import { pages } from './pages.ts'

/** Endpoints that are told what happens. @throws OmiumError of the gateway's code, e.g. `webhook_unknown`, `address_refused` */
export interface Webhooks {
  /** Newest first. */
  list(): AsyncIterable<WebhookView>
  get(id: string): Promise<WebhookView>
  /** The answer has its secret, this once. */
  create(endpoint: z.input<typeof createWebhookBody>): Promise<WebhookSecretReceipt>
  /** What is not given stays. */
  change(id: string, changes: z.input<typeof changeWebhookBody>): Promise<WebhookReceipt>
  enable(id: string): Promise<WebhookReceipt>
  disable(id: string): Promise<WebhookReceipt>
  delete(id: string): Promise<WebhookReceipt>
  /** The answer has the new secret, this once; the ones before it sign, too, for the overlap (a day unless given). */
  rotate(id: string, options?: { overlapMs?: number }): Promise<WebhookSecretReceipt>
  /** Sends it a `webhook.test`. */
  test(id: string): Promise<WebhookDeliveryReceipt>
  /** The latest first; `dead` ones are the dead letters. */
  deliveries(id: string, filter?: { status?: WebhookDeliveryView['status'] }): AsyncIterable<WebhookDeliveryView>
  /** With its attempts and what was sent. */
  delivery(id: string, delivery: string): Promise<WebhookDeliveryDetail>
  redeliver(id: string, delivery: string): Promise<WebhookDeliveryReceipt>
  /** Delivers what happened in a time again, from the log. Times are ISO 8601. */
  replay(
    id: string,
    range: { from: string; to?: string; types?: readonly WebhookEventType[] },
  ): Promise<WebhookReplayReceipt>
  replays(id: string): AsyncIterable<WebhookReplayView>
}

export const webhooksOf = (http: Http): Webhooks => ({
  list: () => pages(http, 'GET /v1/webhooks', { query: { limit: 200 } }),
  get: (id) => http.call('GET /v1/webhooks/{id}', { path: { id } }),
  create: (body) => http.call('POST /v1/webhooks', { body }),
  change: (id, body) => http.call('PATCH /v1/webhooks/{id}', { path: { id }, body }),
  enable: (id) => http.call('POST /v1/webhooks/{id}/enable', { path: { id } }),
  disable: (id) => http.call('POST /v1/webhooks/{id}/disable', { path: { id } }),
  delete: (id) => http.call('DELETE /v1/webhooks/{id}', { path: { id } }),
  rotate: (id, body = {}) => http.call('POST /v1/webhooks/{id}/rotate', { path: { id }, body }),
  test: (id) => http.call('POST /v1/webhooks/{id}/test', { path: { id } }),
  deliveries: (id, filter = {}) =>
    pages(http, 'GET /v1/webhooks/{id}/deliveries', { path: { id }, query: { limit: 200, ...filter } }),
  delivery: (id, delivery) => http.call('GET /v1/webhooks/{id}/deliveries/{delivery}', { path: { id, delivery } }),
  redeliver: (id, delivery) =>
    http.call('POST /v1/webhooks/{id}/deliveries/{delivery}/redeliver', { path: { id, delivery } }),
  replay: (id, body) => http.call('POST /v1/webhooks/{id}/replay', { path: { id }, body }),
  replays: (id) => pages(http, 'GET /v1/webhooks/{id}/replays', { path: { id }, query: { limit: 200 } }),
})
