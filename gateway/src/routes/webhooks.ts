import {
  deliveryAttempts,
  type EndpointRecord,
  getDelivery,
  getEndpoint,
  listDeliveries,
  listEndpoints,
  listReplays,
} from '@omium/projection-webhooks'
import { checkTarget } from '@omium/safe-fetch'
import {
  aggregateKey,
  changeWebhookBody,
  createWebhookBody,
  executionIdParam as idParam,
  listWebhookDeliveriesQuery,
  OmiumError,
  page,
  pageQuery,
  replayWebhookBody,
  rotateWebhookBody,
  type WebhookEndpointCommand,
  type WebhookMessage,
  type WebhookSpec,
  webhookDeliveryDetail,
  webhookDeliveryParams,
  webhookDeliveryReceipt,
  webhookDeliveryView,
  webhookReceipt,
  webhookReplayReceipt,
  webhookReplayView,
  webhookSecretReceipt,
  webhookView,
} from '@omium/schemas'
import { endpointOwner, newSecret } from '@omium/webhook-secrets'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import { askerOf, commandIdOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'
import { attemptViewOf, deliveryViewOf, endpointViewOf, replayViewOf } from '../webhooks/views.ts'

/** each is told of each event: what happens once must not become work without end */
const mostEndpoints = 100

/** Outgoing webhooks: endpoints of the caller's tenant, what they were told, and replays. */
export const outgoingWebhookRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, webhooks, webhookSecrets, egress, ids, nowMs } = services
    const tags = ['webhooks']
    const read = { permission: 'webhooks:read' } as const
    const write = { permission: 'webhooks:write' } as const
    /** whoever has a secret can speak as the platform to the endpoint's receiver */
    const tellSecret = { ...write, stepUp: true } as const

    const keyOf = (request: FastifyRequest, id: string) =>
      aggregateKey('webhook_endpoint', callerOf(request).tenant, id)
    const send = async (request: FastifyRequest, id: string, command: WebhookEndpointCommand) => ({
      id,
      ...(await webhooks.execute(askerOf(request), keyOf(request, id), commandIdOf(request, ids, id), command)),
    })
    /** @throws OmiumError `webhook_unknown`, also for endpoints of other tenants */
    const find = async (request: FastifyRequest, id: string): Promise<EndpointRecord> => {
      await webhooks.untilCurrent(keyOf(request, id))
      const record = await getEndpoint(reads, callerOf(request).tenant, id)
      if (!record) throw new OmiumError('webhook_unknown', `there is no webhook endpoint ${id}`)
      return record
    }
    const newSecretOf = async (request: FastifyRequest, id: string) => {
      const secret = newSecret()
      return { secret, secretId: await webhookSecrets.keep(callerOf(request).tenant, endpointOwner(id), secret) }
    }
    const findDelivery = async (request: FastifyRequest, id: string, delivery: string) => {
      await find(request, id)
      const record = await getDelivery(reads, callerOf(request).tenant, id, delivery)
      if (!record) throw new OmiumError('webhook_unknown', `there is no delivery ${delivery} to ${id}`)
      return record
    }

    app.get(
      '/v1/webhooks',
      {
        config: read,
        schema: {
          tags,
          summary: 'List webhook endpoints, newest first',
          querystring: pageQuery,
          response: { 200: page(webhookView) },
        },
      },
      async (request) => {
        await webhooks.untilCurrent()
        const { items, ...rest } = await listEndpoints(reads, callerOf(request).tenant, request.query)
        return { items: items.map(endpointViewOf), ...rest }
      },
    )

    app.post(
      '/v1/webhooks',
      {
        config: tellSecret,
        schema: {
          tags,
          summary: 'Create a webhook endpoint; its secret is shown this once',
          description:
            'Messages are signed as Standard Webhooks has it. It is told what happens from the answer on; what was before can be replayed.',
          body: createWebhookBody,
          response: { 201: webhookSecretReceipt },
        },
      },
      async (request, reply) => {
        const { url, types, filter, description } = request.body
        checkTarget(url, egress)
        const { items } = await listEndpoints(reads, callerOf(request).tenant, { limit: mostEndpoints })
        if (items.length >= mostEndpoints)
          throw new OmiumError('webhook_conflict', `a tenant may have ${mostEndpoints} endpoints; remove one first`)
        const id = newIdOf(request, ids, 'webhook')
        const { secret, secretId } = await newSecretOf(request, id)
        const spec: WebhookSpec = {
          url,
          types: [...new Set(types)],
          ...(filter && { filter }),
          ...(description !== undefined && { description }),
        }
        const receipt = await send(request, id, { type: 'CreateWebhookEndpoint', data: { spec, secretId } })
        requireNew(receipt)
        return reply
          .status(201)
          .header('cache-control', 'no-store')
          .send({ ...receipt, secret })
      },
    )

    app.get(
      '/v1/webhooks/:id',
      {
        config: read,
        schema: { tags, summary: 'Get a webhook endpoint', params: idParam, response: { 200: webhookView } },
      },
      async (request) => endpointViewOf(await find(request, request.params.id)),
    )

    app.patch(
      '/v1/webhooks/:id',
      {
        config: write,
        schema: {
          tags,
          summary: 'Change a webhook endpoint; what is not given stays',
          params: idParam,
          body: changeWebhookBody,
          response: { 200: webhookReceipt },
        },
      },
      async (request) => {
        const { id } = request.params
        const { url, types, filter, description } = request.body
        const { filter: hasFilter, ...had } = specOf(await find(request, id))
        if (url !== undefined) checkTarget(url, egress)
        const newFilter = filter === undefined ? hasFilter : (filter ?? undefined)
        const newDescription = description === undefined ? had.description : (description ?? undefined)
        const spec: WebhookSpec = {
          url: url ?? had.url,
          types: types ? [...new Set(types)] : had.types,
          ...(newFilter && { filter: newFilter }),
          ...(newDescription !== undefined && { description: newDescription }),
        }
        return send(request, id, { type: 'ChangeWebhookEndpoint', data: { spec } })
      },
    )

    app.delete(
      '/v1/webhooks/:id',
      {
        config: write,
        schema: {
          tags,
          summary: 'Remove a webhook endpoint and what is known of its deliveries',
          params: idParam,
          response: { 200: webhookReceipt },
        },
      },
      // its secrets are forgotten by the consumer, because of the event
      async (request) => send(request, request.params.id, { type: 'RemoveWebhookEndpoint', data: {} }),
    )

    for (const [verb, summary, command] of [
      ['enable', 'Enable: what happens from now on is delivered', { type: 'EnableWebhookEndpoint', data: {} }],
      ['disable', 'Disable: what waits is dead-lettered', { type: 'DisableWebhookEndpoint', data: {} }],
    ] as const)
      app.post(
        `/v1/webhooks/:id/${verb}`,
        { config: write, schema: { tags, summary, params: idParam, response: { 200: webhookReceipt } } },
        async (request) => send(request, request.params.id, command),
      )

    app.post(
      '/v1/webhooks/:id/rotate',
      {
        config: tellSecret,
        schema: {
          tags,
          summary: 'Make a new secret, shown this once; the ones before it sign, too, for the overlap',
          params: idParam,
          body: rotateWebhookBody.nullish(),
          response: { 201: webhookSecretReceipt },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        const { overlapMs } = rotateWebhookBody.parse(request.body ?? {})
        await find(request, id)
        const { secret, secretId } = await newSecretOf(request, id)
        const data = { secretId, overlapMs }
        const receipt = await send(request, id, { type: 'RotateWebhookSecret', data })
        requireNew(receipt)
        return reply
          .status(201)
          .header('cache-control', 'no-store')
          .send({ ...receipt, secret })
      },
    )

    const deliver = async (
      request: FastifyRequest,
      id: string,
      message: WebhookMessage,
      origin: 'test' | 'redelivery',
    ) => ({
      delivery: message.id,
      ...(await send(request, id, { type: 'DeliverWebhook', data: { message, origin } })),
    })

    app.post(
      '/v1/webhooks/:id/test',
      {
        config: write,
        schema: {
          tags,
          summary: 'Send a `webhook.test` to an endpoint',
          params: idParam,
          response: { 202: webhookDeliveryReceipt },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        const { tenant } = callerOf(request)
        await find(request, id)
        const occurredAt = nowMs()
        const timestamp = new Date(occurredAt).toISOString()
        const type = 'webhook.test' as const
        const body = JSON.stringify({ type, timestamp, version: 1, tenant, data: { webhookId: id } })
        const message = { id: newIdOf(request, ids, 'webhookMessage'), type, body, occurredAt }
        return reply.status(202).send(await deliver(request, id, message, 'test'))
      },
    )

    app.get(
      '/v1/webhooks/:id/deliveries',
      {
        config: read,
        schema: {
          tags,
          summary: 'List deliveries to an endpoint, the latest first; `status=dead` are the dead letters',
          params: idParam,
          querystring: listWebhookDeliveriesQuery,
          response: { 200: page(webhookDeliveryView) },
        },
      },
      async (request) => {
        const { id } = request.params
        await find(request, id)
        const { items, ...rest } = await listDeliveries(reads, callerOf(request).tenant, id, request.query)
        return { items: items.map(deliveryViewOf), ...rest }
      },
    )

    app.get(
      '/v1/webhooks/:id/deliveries/:delivery',
      {
        config: read,
        schema: {
          tags,
          summary: 'Get a delivery with its attempts and what was sent',
          params: webhookDeliveryParams,
          response: { 200: webhookDeliveryDetail },
        },
      },
      async (request) => {
        const { id, delivery } = request.params
        const record = await findDelivery(request, id, delivery)
        const attempts = await deliveryAttempts(reads, callerOf(request).tenant, id, delivery)
        return { ...deliveryViewOf(record), body: record.body, history: attempts.map(attemptViewOf) }
      },
    )

    app.post(
      '/v1/webhooks/:id/deliveries/:delivery/redeliver',
      {
        config: write,
        schema: {
          tags,
          summary: 'Deliver a message again, under its id',
          params: webhookDeliveryParams,
          response: { 202: webhookDeliveryReceipt },
        },
      },
      async (request, reply) => {
        const { id, delivery } = request.params
        const { type, body, occurredAt } = await findDelivery(request, id, delivery)
        const message = { id: delivery, type, body, occurredAt: occurredAt.getTime() }
        return reply.status(202).send(await deliver(request, id, message, 'redelivery'))
      },
    )

    app.post(
      '/v1/webhooks/:id/replay',
      {
        config: write,
        schema: {
          tags,
          summary: 'Deliver what happened in a time again, from the log; receivers know repetitions by their ids',
          params: idParam,
          body: replayWebhookBody,
          response: { 202: webhookReplayReceipt },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        const { from, to, types } = request.body
        const range = {
          from: Math.max(0, Date.parse(from)),
          to: to === undefined ? nowMs() : Math.max(0, Date.parse(to)),
          ...(types && { types }),
        }
        if (range.from >= range.to) throw new OmiumError('invalid_request', 'from: it has to be before `to`')
        const replay = newIdOf(request, ids, 'replay')
        const receipt = await send(request, id, { type: 'ReplayWebhook', data: { replayId: replay, range } })
        return reply.status(202).send({ ...receipt, replay })
      },
    )

    app.get(
      '/v1/webhooks/:id/replays',
      {
        config: read,
        schema: {
          tags,
          summary: 'List replays of an endpoint, the latest first',
          params: idParam,
          querystring: pageQuery,
          response: { 200: page(webhookReplayView) },
        },
      },
      async (request) => {
        const { id } = request.params
        await find(request, id)
        const { items, ...rest } = await listReplays(reads, callerOf(request).tenant, id, request.query)
        return { items: items.map(replayViewOf), ...rest }
      },
    )
  }

/** @throws OmiumError `webhook_conflict` for a repetition: the secret in force is that of the first answer */
const requireNew = ({ id, deduplicated }: { readonly id: string; readonly deduplicated: boolean }): void => {
  if (deduplicated)
    throw new OmiumError(
      'webhook_conflict',
      `this was done before, and its secret told then; rotate the secret of ${id}`,
    )
}

const specOf = ({ url, types, workflows, agents, description }: EndpointRecord): WebhookSpec => ({
  url,
  types,
  ...((workflows ?? agents) && { filter: { ...(workflows && { workflows }), ...(agents && { agents }) } }),
  ...(description !== null && { description }),
})
