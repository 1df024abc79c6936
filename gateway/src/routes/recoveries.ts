import {
  getIncident,
  type IncidentRow,
  incidentHistory,
  listGroups,
  listIncidents,
  recoveryStatistics,
} from '@omium/projection-recoveries'
import {
  aggregateKey,
  decideIncidentBody,
  failureGroupView,
  groupsQuery,
  type IncidentAction,
  incidentDetail,
  incidentIdParam,
  incidentReceipt,
  incidentView,
  listIncidentsQuery,
  OmiumError,
  page,
  type RecoveryContextCommand,
  recoveryStatisticView,
  statisticsQuery,
} from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import { requireExecution } from '../reads.ts'
import { groupViewOf, incidentDetailOf, incidentViewOf, statisticViewOf } from '../recoveries/views.ts'
import { askerOf, commandIdOf } from '../requests.ts'
import { keptCount } from '../rewind/preview.ts'
import type { Services } from '../services.ts'

const hourMs = 3_600_000

/** Incidents: what failed, what was decided about it and why, and a person's answer where one is asked for. */
export const recoveryRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, recoveries, payloads, ids, nowMs } = services
    const since = (hours: number): Date => new Date(nowMs() - hours * hourMs)

    /** @throws OmiumError `incident_unknown`, also for incidents of other tenants */
    const requireIncident = async (tenant: string, id: string): Promise<IncidentRow> => {
      const found = await getIncident(reads, tenant, id)
      if (found) return found
      await recoveries.untilCurrent()
      const late = await getIncident(reads, tenant, id)
      if (!late) throw new OmiumError('incident_unknown', `there is no incident ${id}`)
      return late
    }

    app.get(
      '/v1/recoveries',
      {
        config: { permission: 'recoveries:read' },
        schema: {
          tags: ['recoveries'],
          summary: 'List incidents, newest first',
          querystring: listIncidentsQuery,
          response: { 200: page(incidentView) },
        },
      },
      async (request) => {
        const { items, ...rest } = await listIncidents(reads, callerOf(request).tenant, request.query)
        return { items: items.map(incidentViewOf), ...rest }
      },
    )

    app.get(
      '/v1/recoveries/groups',
      {
        config: { permission: 'recoveries:read' },
        schema: {
          tags: ['recoveries'],
          summary: 'Failures that are likely to have one reason, the most frequent first',
          querystring: groupsQuery,
          response: { 200: z.object({ items: z.array(failureGroupView) }) },
        },
      },
      async (request) => {
        const { hours, limit } = request.query
        const groups = await listGroups(reads, callerOf(request).tenant, { since: since(hours), limit })
        return { items: groups.map(groupViewOf) }
      },
    )

    app.get(
      '/v1/recoveries/stats',
      {
        config: { permission: 'recoveries:read' },
        schema: {
          tags: ['recoveries'],
          summary: 'What was tried for which class of failure, how often it helped, and how long that took',
          querystring: statisticsQuery,
          response: { 200: z.object({ items: z.array(recoveryStatisticView) }) },
        },
      },
      async (request) => {
        const { hours, fingerprint } = request.query
        const found = await recoveryStatistics(reads, callerOf(request).tenant, { since: since(hours), fingerprint })
        return { items: found.map(statisticViewOf) }
      },
    )

    app.get(
      '/v1/recoveries/:id',
      {
        config: { permission: 'recoveries:read' },
        schema: {
          tags: ['recoveries'],
          summary: 'An incident with its whole history: every failure, plan, reason and answer',
          params: incidentIdParam,
          response: { 200: incidentDetail },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const incident = await requireIncident(tenant, request.params.id)
        return incidentDetailOf(incident, await incidentHistory(reads, tenant, incident.id))
      },
    )

    app.post(
      '/v1/recoveries/:id/decide',
      {
        config: { permission: 'recoveries:write' },
        schema: {
          tags: ['recoveries'],
          summary: 'Decide an incident that waits for a person',
          params: incidentIdParam,
          body: decideIncidentBody,
          response: { 200: incidentReceipt },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        const { action, reason } = request.body
        const incident = await requireIncident(tenant, id)
        const command: RecoveryContextCommand = {
          type: 'DecideIncident',
          data: { action: await actionOf(incident, action), ...(reason !== undefined && { reason }) },
        }
        const aggregate = aggregateKey('incident', tenant, id)
        const commandId = commandIdOf(request, ids, id)
        return { incidentId: id, ...(await recoveries.execute(askerOf(request), aggregate, commandId, command)) }
      },
    )

    const actionOf = async (
      incident: IncidentRow,
      action: z.infer<typeof decideIncidentBody>['action'],
    ): Promise<IncidentAction> => {
      if (action.type === 'hold' && action.untilMs <= nowMs()) {
        throw new OmiumError('invalid_request', 'action.untilMs: it is over already')
      }
      if (action.type === 'roll_back') {
        const { tenant, executionId } = incident
        const record = await requireExecution(services, tenant, executionId)
        // what a run took over from another is not in its engine's state: whether the path is in there is known here
        if (record.forkedFrom !== null) {
          await services.executions.untilCurrent(aggregateKey('execution', tenant, executionId))
          keptCount(await services.histories.read(tenant, record), action.toPath)
        }
      }
      if (action.type !== 'settle') return action
      const path = action.path ?? incident.step?.path
      if (path === undefined) {
        throw new OmiumError('invalid_request', 'action.path: the run failed between steps; name the step to settle')
      }
      return { type: 'settle', path, output: await payloads.seal(incident.tenant, incident.executionId, action.output) }
    }
  }
