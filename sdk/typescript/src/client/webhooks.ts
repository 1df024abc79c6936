import {
  type changeWebhookBody,
  type createWebhookBody,
  page,
  type WebhookDeliveryDetail,
  type WebhookDeliveryReceipt,
  type WebhookDeliveryView,
  type WebhookEventType,
  type WebhookReceipt,
  type WebhookReplayReceipt,
  type WebhookReplayView,
  type WebhookSecretReceipt,
  type WebhookView,
  webhookDeliveryDetail,
  webhookDeliveryReceipt,
  webhookDeliveryView,
  webhookReceipt,
  webhookReplayReceipt,
  webhookReplayView,
  webhookSecretReceipt,
  webhookView,
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

const webhooksPage = page(webhookView)
const deliveriesPage = page(webhookDeliveryView)
const replaysPage = page(webhookReplayView)

export const webhooksOf = (http: Http): Webhooks => {
  const at = (id: string) => `/v1/webhooks/${encodeURIComponent(id)}`
  const ofDelivery = (id: string, delivery: string) => `${at(id)}/deliveries/${encodeURIComponent(delivery)}`
  return {
    list: () => pages(http, '/v1/webhooks', webhooksPage, { limit: 200 }),
    get: async (id) => webhookView.parse(await http.json('GET', at(id))),
    create: async (body) => webhookSecretReceipt.parse(await http.json('POST', '/v1/webhooks', { body })),
    change: async (id, body) => webhookReceipt.parse(await http.json('PATCH', at(id), { body })),
    enable: async (id) => webhookReceipt.parse(await http.json('POST', `${at(id)}/enable`, { body: {} })),
    disable: async (id) => webhookReceipt.parse(await http.json('POST', `${at(id)}/disable`, { body: {} })),
    delete: async (id) => webhookReceipt.parse(await http.json('DELETE', at(id))),
    rotate: async (id, body = {}) => webhookSecretReceipt.parse(await http.json('POST', `${at(id)}/rotate`, { body })),
    test: async (id) => webhookDeliveryReceipt.parse(await http.json('POST', `${at(id)}/test`, { body: {} })),
    deliveries: (id, filter = {}) => pages(http, `${at(id)}/deliveries`, deliveriesPage, { limit: 200, ...filter }),
    delivery: async (id, delivery) => webhookDeliveryDetail.parse(await http.json('GET', ofDelivery(id, delivery))),
    redeliver: async (id, delivery) =>
      webhookDeliveryReceipt.parse(await http.json('POST', `${ofDelivery(id, delivery)}/redeliver`, { body: {} })),
    replay: async (id, body) => webhookReplayReceipt.parse(await http.json('POST', `${at(id)}/replay`, { body })),
    replays: (id) => pages(http, `${at(id)}/replays`, replaysPage, { limit: 200 }),
  }
}
