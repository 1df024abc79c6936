import {
  approvalBody,
  type ExecutionContextCommand,
  executionIdParam,
  type JsonValue,
  type OutcomeResolution,
  reasonBody,
  resolveOutcomeBody,
  signalBody,
  writeReceipt,
} from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import { deterministicCommandId } from '../commands.ts'
import { askerOf, commandIdOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'

/** Everything that is asked of an execution that exists. Each answers once its outcome is accepted on the log. */
export const executionCommandRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { commands, payloads, ids } = services
    const schemaOf = (summary: string) => ({
      tags: ['executions'],
      summary,
      params: executionIdParam,
      response: { 200: writeReceipt },
    })
    const config = { permission: 'executions:write', limitedKeys: true } as const

    const send = async (
      request: FastifyRequest<{ Params: { id: string } }>,
      reply: FastifyReply,
      command: ExecutionContextCommand,
      commandId = commandIdOf(request, ids, request.params.id),
    ) => reply.send(await commands.execute(askerOf(request), request.params.id, commandId, command))

    app.post(
      '/v1/executions/:id/signals',
      { config, schema: { ...schemaOf('Send a signal'), body: signalBody } },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        const { name, payload, id: signalId = newIdOf(request, ids, 'signal') } = request.body
        return send(
          request,
          reply,
          { type: 'SignalExecution', data: { signalId, name, payload: await payloads.seal(tenant, id, payload) } },
          deterministicCommandId('signal', tenant, id, signalId),
        )
      },
    )

    app.post(
      '/v1/executions/:id/approvals',
      { config, schema: { ...schemaOf('Approve or reject what an execution asked for'), body: approvalBody } },
      async (request, reply) => {
        const { path, decision, comment: reason } = request.body
        return send(request, reply, {
          type: 'DecideApproval',
          data: { path, decision, ...(reason !== undefined && { comment: reason }) },
        })
      },
    )

    app.post(
      '/v1/executions/:id/pause',
      {
        config,
        schema: { ...schemaOf('Pause: stop the attempt, keep what is recorded'), body: reasonBody.nullish() },
      },
      async (request, reply) => send(request, reply, { type: 'PauseExecution', data: { ...request.body } }),
    )

    app.post(
      '/v1/executions/:id/resume',
      { config, schema: schemaOf('Resume a paused execution') },
      async (request, reply) => send(request, reply, { type: 'ResumeExecution', data: {} }),
    )

    app.post(
      '/v1/executions/:id/cancel',
      { config, schema: { ...schemaOf('Cancel, and its children with it'), body: reasonBody.nullish() } },
      async (request, reply) => send(request, reply, { type: 'CancelExecution', data: { ...request.body } }),
    )

    app.post(
      '/v1/executions/:id/resolve',
      {
        config,
        schema: { ...schemaOf('Say what became of an effect whose outcome is unknown'), body: resolveOutcomeBody },
      },
      async (request, reply) => {
        const { path, resolution, comment: reason } = request.body
        return send(request, reply, {
          type: 'ResolveStepOutcome',
          data: {
            path,
            resolution: await resolutionOf(resolution, (value) =>
              payloads.seal(callerOf(request).tenant, request.params.id, value),
            ),
            ...(reason !== undefined && { comment: reason }),
          },
        })
      },
    )
  }

const resolutionOf = async (
  resolution: { status: 'completed'; output: JsonValue } | { status: 'failed'; detail: string } | { status: 'retry' },
  seal: (value: JsonValue) => Promise<Extract<OutcomeResolution, { status: 'completed' }>['output']>,
): Promise<OutcomeResolution> => {
  if (resolution.status === 'completed') return { status: 'completed', output: await seal(resolution.output) }
  if (resolution.status === 'retry') return resolution
  return { status: 'failed', error: { code: 'step_failed', detail: resolution.detail, retryable: false } }
}
