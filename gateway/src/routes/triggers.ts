import { createHash } from 'node:crypto'
import { getTrigger, listTriggers, type TriggerRecord } from '@omium/projection-workflows'
import {
  aggregateKey,
  callerId,
  executionIdParam as idParam,
  type JsonValue,
  OmiumError,
  page,
  pageQuery,
  type TriggerSource,
  type TriggerView,
  tenantTopic,
  triggerBody,
  triggerReceipt,
  triggerView,
  type WorkflowContextCommand,
  workflowReceipt,
} from '@omium/schemas'
import { compileExpression, ExpressionProblem, parseText, stringsOf } from '@omium/workflow-language'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import { deterministicCommandId } from '../commands.ts'
import { requireFlat } from '../json-body.ts'
import { askerOf, commandIdOf } from '../requests.ts'
import type { Services } from '../services.ts'
import { requireCurrent, requireVersion } from '../workflow-reads.ts'

/** larger events would not fit a record beside everything else */
const maxEventBytes = 48 * 1024

/** What makes workflows run: webhooks, events on topics, ends of other workflows. */
export const triggerRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, workflows, triggerSignatures, ids } = services
    const tags = ['triggers']

    const send = async (request: FastifyRequest, id: string, command: WorkflowContextCommand) => {
      const aggregate = aggregateKey('trigger', callerOf(request).tenant, id)
      return { id, ...(await workflows.execute(askerOf(request), aggregate, commandIdOf(request, ids, id), command)) }
    }

    app.get(
      '/v1/triggers',
      {
        config: { permission: 'workflows:read' },
        schema: {
          tags,
          summary: 'List triggers',
          querystring: pageQuery,
          response: { 200: page(triggerView) },
        },
      },
      async (request) => {
        await workflows.untilCurrent()
        const { items, ...rest } = await listTriggers(reads, callerOf(request).tenant, request.query)
        return { items: items.map(viewOf), ...rest }
      },
    )

    app.put(
      '/v1/triggers/:id',
      {
        config: { permission: 'workflows:write' },
        schema: {
          tags,
          summary: 'Create or change a trigger',
          description: 'The answer to a new webhook has its URL and, once, its secret.',
          params: idParam,
          body: triggerBody,
          response: { 200: triggerReceipt },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        const { source, ...body } = request.body
        checkExpressions(body.filter, body.parameters)
        await requireVersion(services, tenant, body.workflow, body.version)
        const earlier = await getTrigger(reads, tenant, id)
        const { sealed, secret } = await sourceOf(source, tenant, id, body.workflow, earlier)
        const receipt = await send(request, id, {
          type: 'PutTrigger',
          data: { triggerId: id, spec: { ...body, source: sealed } },
        })
        const url = sealed.type === 'webhook' ? { url: `/v1/hooks/${tenant}/${id}` } : {}
        return { ...receipt, ...url, ...(secret !== undefined && { secret }) }
      },
    )

    const sourceOf = async (
      source: z.infer<typeof triggerBody>['source'],
      tenant: string,
      id: string,
      workflow: string,
      earlier: TriggerRecord | undefined,
    ): Promise<{ sealed: TriggerSource; secret?: string }> => {
      if (source.type === 'webhook') {
        if (earlier?.spec.source.type === 'webhook') return { sealed: earlier.spec.source }
        const made = await triggerSignatures.create(tenant, id)
        return { sealed: { type: 'webhook', sealedSecret: made.sealed }, secret: made.secret }
      }
      // told now rather than by a trigger that never fires
      if (source.type === 'topic') tenantTopic(services.topicPrefix, tenant, source.topic)
      if (source.type === 'workflow' && source.workflow === workflow)
        throw new OmiumError('invalid_request', 'source.workflow: a workflow whose end starts it again would never end')
      return { sealed: source }
    }

    app.get(
      '/v1/triggers/:id',
      {
        config: { permission: 'workflows:read' },
        schema: { tags, summary: 'Get a trigger', params: idParam, response: { 200: triggerView } },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        return viewOf(await requireCurrent(services, 'trigger', tenant, id, () => getTrigger(reads, tenant, id)))
      },
    )

    for (const [verb, summary, command] of [
      ['pause', 'Pause: events that come meanwhile are ignored', { type: 'PauseTrigger', data: {} }],
      ['resume', 'Resume', { type: 'ResumeTrigger', data: {} }],
    ] as const)
      app.post(
        `/v1/triggers/:id/${verb}`,
        {
          config: { permission: 'workflows:write' },
          schema: { tags, summary, params: idParam, response: { 200: workflowReceipt } },
        },
        async (request) => send(request, request.params.id, command),
      )

    app.delete(
      '/v1/triggers/:id',
      {
        config: { permission: 'workflows:write' },
        schema: { tags, summary: 'Delete a trigger', params: idParam, response: { 200: workflowReceipt } },
      },
      // its secret is forgotten by the webhooks process, because of the event
      async (request) => send(request, request.params.id, { type: 'DeleteTrigger', data: {} }),
    )
  }

/** Where webhooks arrive. Whoever knows the secret may send; nothing here needs an API key. */
export const webhookRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { workflows } = services
    // the signature is over the bytes that were sent
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: maxEventBytes }, (_request, body, done) =>
      done(null, body),
    )

    app.post(
      '/v1/hooks/:tenant/:id',
      {
        config: { public: true },
        schema: {
          tags: ['triggers'],
          summary: 'Deliver a webhook',
          description:
            'Signed with `x-omium-signature: t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>.<body>">`. `x-omium-event-id` names the ' +
            'event: delivered twice, it counts once. With it the HMAC is of `<seconds>,<event id>,<body>`.',
          params: z.object({ tenant: callerId, id: callerId }),
          response: { 202: workflowReceipt },
        },
      },
      async (request, reply) => {
        const { tenant, id } = request.params
        const record = await requireCurrent(services, 'trigger', tenant, id, () =>
          getTrigger(services.reads, tenant, id),
        )
        const { source } = record.spec
        if (source.type !== 'webhook') throw new OmiumError('trigger_unknown', `there is no trigger ${id}`)
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
        const signature = request.headers['x-omium-signature']
        const named = request.headers['x-omium-event-id']
        if (named !== undefined && !callerId.safeParse(named).success)
          throw new OmiumError('invalid_request', 'x-omium-event-id: use 1 to 128 of A-Z a-z 0-9 . _ -')
        const given = typeof named === 'string' ? named : undefined
        const target = { tenant, triggerId: id, sealed: source.sealedSecret }
        const delivery = await services.triggerSignatures.verify(
          target,
          typeof signature === 'string' ? signature : undefined,
          given,
          body,
          services.nowMs(),
        )
        const eventId = given ?? createHash('sha256').update(delivery).update(body).digest('hex')
        const event = { type: 'webhook', id: eventId, body: parsedBody(body) }
        const receipt = await workflows.execute(
          { tenant, actor: `webhook:${id}`, correlationId: request.id },
          aggregateKey('trigger', tenant, id),
          deterministicCommandId('fire', tenant, id, eventId),
          { type: 'FireTrigger', data: { eventId, event } },
        )
        return reply.status(202).send({ id: eventId, ...receipt })
      },
    )
  }

/** JSON where it is JSON, otherwise text. @throws OmiumError `invalid_json` for what nobody could walk over */
const parsedBody = (body: Buffer): JsonValue => {
  const text = body.toString('utf8')
  let json: JsonValue
  try {
    json = JSON.parse(text) as JsonValue
  } catch {
    return text
  }
  requireFlat(body)
  return json
}

/** The manager evaluates these while everyone waits: comprehensions do not nest here. */
const checkExpressions = (filter: string | undefined, parameters: JsonValue | undefined): void => {
  const check = (place: string, compile: () => unknown) => {
    try {
      compile()
    } catch (error) {
      if (!(error instanceof ExpressionProblem)) throw error
      throw new OmiumError('invalid_request', `${place}: ${error.message}, at character ${error.start + 1}`)
    }
  }
  if (filter !== undefined) check('filter', () => compileExpression(filter, ['event'], 1))
  for (const { pointer, text } of stringsOf(parameters ?? null))
    check(`parameters${pointer.replaceAll('/', '.')}`, () => parseText(text, ['event'], 1))
}

const viewOf = (record: TriggerRecord): TriggerView => {
  const { workflow, version, source, filter } = record.spec
  return {
    id: record.id,
    workflow,
    ...(version !== undefined && { version }),
    source: {
      type: source.type,
      ...(source.type === 'topic' && { topic: source.topic }),
      ...(source.type === 'workflow' && { workflow: source.workflow }),
    },
    ...(filter !== undefined && { filter }),
    status: record.status,
    fired: record.fired,
    ignored: record.ignored,
    ...(record.lastFiredAt && { lastFiredAt: record.lastFiredAt.toISOString() }),
    position: `${record.partition}:${record.offset}`,
  }
}
