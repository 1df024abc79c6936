import {
  type FiringRecord,
  getSchedule,
  listFirings,
  listSchedules,
  type ScheduleRecord,
} from '@omium/projection-workflows'
import {
  aggregateKey,
  type FiringView,
  firingView,
  executionIdParam as idParam,
  page,
  pageQuery,
  type ScheduleView,
  scheduleBody,
  scheduleSpec,
  scheduleView,
  type WorkflowContextCommand,
  workflowId,
  workflowReceipt,
} from '@omium/schemas'
import { checkCron, checkParameters, nextMoment } from '@omium/workflow-language'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import { askerOf, commandIdOf } from '../requests.ts'
import type { Services } from '../services.ts'
import { requireCurrent, requireVersion } from '../workflow-reads.ts'

/** When workflows run by themselves. */
export const scheduleRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { workflows } = services
    const { reads, payloads, ids, nowMs } = services
    const tags = ['schedules']

    const send = async (request: FastifyRequest, id: string, command: WorkflowContextCommand) => {
      const aggregate = aggregateKey('schedule', callerOf(request).tenant, id)
      return { id, ...(await workflows.execute(askerOf(request), aggregate, commandIdOf(request, ids, id), command)) }
    }
    const find = (tenant: string, id: string) =>
      requireCurrent(services, 'schedule', tenant, id, () => getSchedule(reads, tenant, id))

    app.get(
      '/v1/schedules',
      {
        config: { permission: 'workflows:read' },
        schema: {
          tags,
          summary: 'List schedules',
          querystring: pageQuery.extend({ workflow: workflowId.optional() }),
          response: { 200: page(scheduleView) },
        },
      },
      async (request) => {
        await workflows.untilCurrent()
        const { items, ...rest } = await listSchedules(reads, callerOf(request).tenant, request.query)
        return { items: items.map(viewOf), ...rest }
      },
    )

    app.put(
      '/v1/schedules/:id',
      {
        config: { permission: 'workflows:write' },
        schema: {
          tags,
          summary: 'Create or change a schedule',
          description: 'Moments after now count; the same spec again changes nothing.',
          params: idParam,
          body: scheduleBody,
          response: { 200: workflowReceipt },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        const { startAt, endAt, parameters, catchUp, ...body } = request.body
        checkCron(body, nowMs())
        const { bundle } = await requireVersion(services, tenant, body.workflow, body.version)
        checkParameters(bundle.definition.parameters, parameters)
        const spec = scheduleSpec.parse({
          ...body,
          parameters: await payloads.seal(tenant, `schedule.${id}`, parameters),
          ...(catchUp && { catchUp }),
          ...(startAt && { startAt: Date.parse(startAt) }),
          ...(endAt && { endAt: Date.parse(endAt) }),
        })
        return send(request, id, { type: 'PutSchedule', data: { scheduleId: id, spec } })
      },
    )

    app.get(
      '/v1/schedules/:id',
      {
        config: { permission: 'workflows:read' },
        schema: { tags, summary: 'Get a schedule', params: idParam, response: { 200: scheduleView } },
      },
      async (request) => viewOf(await find(callerOf(request).tenant, request.params.id)),
    )

    app.get(
      '/v1/schedules/:id/firings',
      {
        config: { permission: 'workflows:read' },
        schema: {
          tags,
          summary: 'What became of its moments, newest first',
          params: idParam,
          querystring: pageQuery,
          response: { 200: page(firingView) },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        await find(tenant, request.params.id)
        const { items, ...rest } = await listFirings(reads, tenant, request.params.id, request.query)
        return { items: items.map(firingOf), ...rest }
      },
    )

    for (const [verb, summary, command] of [
      ['pause', 'Pause: what passes meanwhile is not caught up', { type: 'PauseSchedule', data: {} }],
      ['resume', 'Resume from now', { type: 'ResumeSchedule', data: {} }],
    ] as const)
      app.post(
        `/v1/schedules/:id/${verb}`,
        {
          config: { permission: 'workflows:write' },
          schema: { tags, summary, params: idParam, response: { 200: workflowReceipt } },
        },
        async (request) => send(request, request.params.id, command),
      )

    app.delete(
      '/v1/schedules/:id',
      {
        config: { permission: 'workflows:write' },
        schema: {
          tags,
          summary: 'Delete a schedule; its runs go on',
          params: idParam,
          response: { 200: workflowReceipt },
        },
      },
      async (request) => send(request, request.params.id, { type: 'DeleteSchedule', data: {} }),
    )
  }

const viewOf = (record: ScheduleRecord): ScheduleView => {
  const { workflow, version, cron, timezone, overlap, catchUp, startAt = 0, endAt } = record.spec
  const next =
    record.status === 'active' ? nextMoment(record.spec, Math.max(record.cursorAt.getTime(), startAt - 1)) : undefined
  const due = next !== undefined && (endAt === undefined || next <= endAt) ? next : undefined
  return {
    id: record.id,
    workflow,
    ...(version !== undefined && { version }),
    cron,
    timezone,
    overlap,
    catchUp,
    status: record.status,
    ...(due !== undefined && { nextAt: new Date(due).toISOString() }),
    ...(record.lastFiredAt && { lastFiredAt: record.lastFiredAt.toISOString() }),
    fired: record.fired,
    skipped: record.skipped,
    position: `${record.partition}:${record.offset}`,
  }
}

const firingOf = (record: FiringRecord): FiringView => ({
  nominalAt: record.nominalAt.toISOString(),
  outcome: record.outcome,
  ...(record.reason !== null && { reason: record.reason }),
  count: record.count,
  ...(record.runId !== null && { runId: record.runId }),
  ...(record.ended && { end: record.ended }),
})
