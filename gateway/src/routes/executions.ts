import { listExecutions, listFailures, listSteps } from '@omium/projection-executions'
import {
  aggregateKey,
  callerId,
  executionIdParam,
  executionOptions,
  executionView,
  failureView,
  isTerminal,
  listExecutionsQuery,
  page,
  pageQuery,
  requestHashOf,
  startExecutionBody,
  stepView,
  writeReceipt,
} from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import { deterministicCommandId } from '../commands.ts'
import { drainSignal } from '../drain.ts'
import { isUnchanged, unchanged } from '../etags.ts'
import { requireExecution } from '../reads.ts'
import { askerOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'
import { executionDetail, executionSummary, failureViewOf, isTerminalEvent, stepViewOf } from '../views.ts'

const splitOnce = (text: string, separator: string): [string, string] => {
  const at = text.indexOf(separator)
  return [text.slice(0, at), text.slice(at + separator.length)]
}

/** Starting executions and reading them. */
export const executionRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, executions, commands, agents, payloads, ids, limits } = services
    const { live, positions } = executions
    const draining = drainSignal(app)
    app.post(
      '/v1/executions',
      {
        config: { permission: 'executions:write', limitedKeys: true },
        schema: {
          tags: ['executions'],
          summary: 'Start an execution',
          description: 'The same id and input start one execution, however often they are sent.',
          body: startExecutionBody,
          response: { 201: writeReceipt, 200: writeReceipt },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const { agent, input, id = newIdOf(request, ids, 'execution'), options } = request.body
        const definition = await agents.get(tenant, agent)
        agents.checkInput(tenant, definition, input)
        const requestHash = requestHashOf({ agent, input })
        const receipt = await commands.execute(
          askerOf(request),
          id,
          deterministicCommandId('start', tenant, id, requestHash),
          {
            type: 'StartExecution',
            data: {
              executionId: id,
              agentId: agent,
              input: await payloads.seal(tenant, id, input),
              requestHash,
              options: executionOptions.parse({ ...definition.defaults, ...options }),
            },
          },
        )
        return reply.status(receipt.deduplicated ? 200 : 201).send(receipt)
      },
    )

    app.get(
      '/v1/executions',
      {
        config: { permission: 'executions:read', limitedKeys: true },
        schema: {
          tags: ['executions'],
          summary: 'List executions, newest first, without their inputs and outputs',
          querystring: listExecutionsQuery,
          response: { 200: page(executionView) },
        },
      },
      async (request) => {
        const { forked_from: forkedFrom, label, ...filter } = request.query
        const labels = label && Object.fromEntries(label.map((given) => splitOnce(given, ':')))
        const { items, ...rest } = await listExecutions(reads, callerOf(request).tenant, {
          ...filter,
          forkedFrom,
          labels,
          within: callerOf(request).limits,
        })
        return { items: items.map(executionSummary), ...rest }
      },
    )

    app.get(
      '/v1/executions/:id',
      {
        config: { permission: 'executions:read', limitedKeys: true },
        schema: {
          tags: ['executions'],
          summary: 'Get an execution',
          params: executionIdParam,
          response: { 200: executionView, 304: unchanged },
        },
      },
      async (request, reply) => {
        const record = await requireExecution(services, callerOf(request).tenant, request.params.id)
        if (isUnchanged(request, reply, `${record.partition}-${record.offset}`)) return reply.status(304).send()
        return executionDetail(record, payloads)
      },
    )

    app.get(
      '/v1/executions/:id/result',
      {
        config: { permission: 'executions:read', limitedKeys: true },
        schema: {
          tags: ['executions'],
          summary: 'Wait for the end of an execution',
          description: '200 once it has finished, 202 with how it stands when `wait_ms` passed first.',
          params: executionIdParam,
          querystring: z.object({
            wait_ms: z.coerce.number().int().min(0).max(limits.resultWaitMs).default(0),
          }),
          response: { 200: executionView, 202: executionView },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        const { wait_ms: waitMs } = request.query
        const deadline = performance.now() + waitMs
        // subscribe first: an end that comes while the row is read must not be missed
        const ended = Promise.withResolvers<{ partition: number; offset: number } | null>()
        const unsubscribe = live.subscribe(aggregateKey('execution', tenant, id), ({ type, partition, offset }) => {
          if (isTerminalEvent(type)) ended.resolve({ partition, offset })
        })
        const timer = setTimeout(() => ended.resolve(null), waitMs)
        // a connection serves many requests: what listens to it must go with the request
        const { socket } = request.raw
        const left = () => ended.resolve(null)
        socket.once('close', left)
        draining.addEventListener('abort', left)
        if (draining.aborted || socket.destroyed) left()
        try {
          // an end that the live tail showed before the subscription is in the row once the read model is that far
          await services.executions.untilCurrent(aggregateKey('execution', tenant, id))
          let record = await requireExecution(services, tenant, id)
          if (!isTerminal(record.status)) {
            const end = await ended.promise
            if (end) await positions.reached(end.partition, end.offset, Math.max(1000, deadline - performance.now()))
            record = await requireExecution(services, tenant, id)
          }
          return reply.status(isTerminal(record.status) ? 200 : 202).send(await executionDetail(record, payloads))
        } finally {
          clearTimeout(timer)
          socket.off('close', left)
          draining.removeEventListener('abort', left)
          unsubscribe()
        }
      },
    )

    app.get(
      '/v1/executions/:id/steps',
      {
        config: { permission: 'executions:read', limitedKeys: true },
        schema: {
          tags: ['executions'],
          summary: 'The timeline: steps, timers, waits, approvals and children in the order in which they began',
          params: executionIdParam,
          querystring: pageQuery.extend({
            superseded: z.stringbool().default(false),
          }),
          response: { 200: page(stepView) },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { limit, cursor, superseded } = request.query
        const execution = await requireExecution(services, tenant, request.params.id)
        const { items, ...rest } = await listSteps(reads, tenant, execution.id, { limit, cursor, superseded })
        return { items: await Promise.all(items.map((step) => stepViewOf(step, execution, payloads))), ...rest }
      },
    )

    app.get(
      '/v1/failures',
      {
        config: { permission: 'executions:read' },
        schema: {
          tags: ['executions'],
          summary: 'Failures of steps, attempts and executions, newest first',
          querystring: pageQuery.extend({ execution: callerId.optional() }),
          response: { 200: page(failureView) },
        },
      },
      async (request) => {
        const { items, ...rest } = await listFailures(reads, callerOf(request).tenant, request.query)
        return { items: items.map(failureViewOf), ...rest }
      },
    )
  }
