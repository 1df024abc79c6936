import { inHours, inRanges } from '@omium/access'
import { getTenant, membershipsOf, type TenantRecord } from '@omium/projection-identity'
import {
  aggregateKey,
  callerView,
  changeTenantBody,
  foundTenantBody,
  identityReceipt,
  OmiumError,
  type TenantCommand,
  type TenantView,
  tenantView,
} from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import { askerOf, commandIdOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'

/** a person has their work in a few */
const mostTenants = 100

/** The caller, and the caller's tenant. */
export const tenantRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, identity, ids, nowMs } = services
    const tags = ['tenants']

    app.get(
      '/v1/me',
      {
        config: { permission: 'authenticated', limitedKeys: true },
        schema: { tags, summary: 'Who asks, and what they may do', response: { 200: callerView } },
      },
      async (request) => {
        const { tenant, actor, role, permissions, limits } = callerOf(request)
        return {
          tenant,
          actor,
          ...(role && { role }),
          permissions: [...permissions],
          ...(limits && { limits: { workflows: [...limits.workflows], agents: [...limits.agents] } }),
        }
      },
    )

    app.post(
      '/v1/tenants',
      {
        config: { permission: 'authenticated' },
        schema: {
          tags,
          summary: 'Found another tenant, which whoever asks owns; people only',
          body: foundTenantBody,
          response: { 201: identityReceipt },
        },
      },
      async (request, reply) => {
        const { session } = callerOf(request)
        if (!session) throw new OmiumError('forbidden', 'this is for people who are signed in')
        const { userId } = session
        if ((await membershipsOf(reads, userId)).length >= mostTenants)
          throw new OmiumError('identity_conflict', `a person is a member of at most ${mostTenants} tenants`)
        const id = newIdOf(request, ids, 'tenant')
        const aggregate = aggregateKey('tenant', id, id)
        const command: TenantCommand = { type: 'FoundTenant', data: { name: request.body.name, owner: userId } }
        const asker = { ...askerOf(request), tenant: id }
        const decided = await identity.execute(asker, aggregate, commandIdOf(request, ids, id), command)
        // whoever founded it may go there at once
        await identity.untilCurrent(aggregate)
        return reply.status(201).send({ id, ...decided })
      },
    )

    app.get(
      '/v1/tenant',
      {
        config: { permission: 'tenant:read' },
        schema: { tags, summary: "Get the caller's tenant", response: { 200: tenantView } },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        await identity.untilCurrent(aggregateKey('tenant', tenant, tenant))
        const record = await getTenant(reads, tenant)
        if (!record) throw new OmiumError('tenant_unknown', `there is no tenant ${tenant}`)
        return viewOf(record)
      },
    )

    app.patch(
      '/v1/tenant',
      {
        config: { permission: 'tenant:write', stepUp: true },
        schema: {
          tags,
          summary:
            'Rename the tenant, or say from which addresses and at which hours it may be used, or whether it demands a second factor',
          body: changeTenantBody,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { name, ranges, hours, mfaRequired } = request.body
        if (ranges && !inRanges(ranges, request.ip))
          throw new OmiumError('invalid_request', `ranges: your own address ${request.ip} is not among them`)
        if (hours && !inHours(hours, nowMs()))
          throw new OmiumError('invalid_request', 'hours: now is not among them, and you would lock yourself out')
        const { session, mfaAt } = callerOf(request)
        if (mfaRequired && session && mfaAt === undefined)
          throw new OmiumError('mfa_enrolment_required', 'you have no second factor yourself: add one at /auth/factors')
        const command: TenantCommand =
          mfaRequired !== undefined
            ? { type: 'RequireMfa', data: { required: mfaRequired } }
            : hours !== undefined
              ? { type: 'AllowHours', data: { hours } }
              : name !== undefined
                ? { type: 'RenameTenant', data: { name } }
                : { type: 'AllowAddresses', data: { ranges: ranges ?? [] } }
        const aggregate = aggregateKey('tenant', tenant, tenant)
        const id = commandIdOf(request, ids, tenant)
        return { id: tenant, ...(await identity.execute(askerOf(request), aggregate, id, command)) }
      },
    )
  }

const viewOf = ({ tenant, name, ranges, hours, mfaRequired, foundedAt }: TenantRecord): TenantView => ({
  id: tenant,
  name,
  ranges: [...ranges],
  hours,
  mfaRequired,
  foundedAt: foundedAt.toISOString(),
})
