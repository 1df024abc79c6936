import {
  getErasure,
  getUser,
  invitationsOf,
  loginsOf,
  membershipIn,
  membershipsOf,
  sessionsOf,
  userOfAddress,
} from '@omium/projection-identity'
import {
  aggregateKey,
  createErasureBody,
  erasureParam,
  erasureReceipt,
  erasureView,
  OmiumError,
  personalDataView,
  platformTenant,
} from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import { callerOf } from '../auth.ts'
import { erasureViewOf } from '../erase-everywhere.ts'
import { askerOf, commandIdOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'

/** Personal data: what there is of a person, and its end. A tenant ends what it holds itself; a person everything. */
export const privacyRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, identity, personalData, ids, nowMs } = services
    const tags = ['privacy']

    /** @throws OmiumError `forbidden` for keys, which are nobody */
    const personOf = (request: FastifyRequest) => {
      const { session } = callerOf(request)
      if (!session) throw new OmiumError('forbidden', 'this is for people who are signed in')
      return session
    }
    /** Whom the tenant means, as far as the tenant may know them: of strangers it learns nothing. */
    const whomOf = async (tenant: string, { userId, email }: z.infer<typeof createErasureBody>) => {
      const named = email === undefined ? undefined : personalData.digest('email', email)
      const known = userId ?? (named && (await userOfAddress(reads, named)))
      // asked also when nobody has the address, so that the time it takes tells nothing either
      const member = (await membershipIn(reads, tenant, known ?? '')) !== undefined
      const address = named ?? (member && known !== undefined ? (await getUser(reads, known))?.address : undefined)
      return { ...((userId !== undefined || member) && { userId: known }), ...(address !== undefined && { address }) }
    }

    app.post(
      '/v1/privacy/erasures',
      {
        config: { permission: 'privacy:write', stepUp: true },
        schema: {
          tags,
          summary: 'Erase what the tenant holds of a person: their membership and open invitations',
          body: createErasureBody,
          response: { 201: erasureReceipt },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const id = newIdOf(request, ids, 'erasure')
        const aggregate = aggregateKey('tenant', tenant, tenant)
        await identity.untilCurrent()
        const data = { erasureId: id, ...(await whomOf(tenant, request.body)) }
        const commandId = commandIdOf(request, ids, id)
        const decided = await identity.execute(askerOf(request), aggregate, commandId, { type: 'EraseMember', data })
        return reply.status(201).send({ id, ...decided })
      },
    )

    app.get(
      '/v1/privacy/erasures/:id',
      {
        config: { permission: 'privacy:write' },
        schema: {
          tags,
          summary: 'Get what became of an erasure',
          params: erasureParam,
          response: { 200: erasureView },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        await identity.untilCurrent(aggregateKey('tenant', tenant, tenant))
        const record = await getErasure(reads, tenant, id)
        if (!record) throw new OmiumError('not_found', `there is no erasure ${id}`)
        return erasureViewOf(record)
      },
    )

    app.delete(
      '/v1/me',
      {
        config: { permission: 'authenticated', stepUp: true },
        schema: {
          tags,
          summary:
            'Erase the person who asks: their sessions and memberships end, and their data opens for nobody any more',
          response: { 202: erasureReceipt },
        },
      },
      async (request, reply) => {
        const { userId } = personOf(request)
        const asker = { ...askerOf(request), tenant: platformTenant }
        const aggregate = aggregateKey('user', platformTenant, userId)
        const decided = await identity.execute(asker, aggregate, ids('command'), { type: 'EraseUser', data: {} })
        return reply.status(202).send({ id: userId, ...decided })
      },
    )

    app.get(
      '/v1/me/data',
      {
        config: { permission: 'authenticated', stepUp: true },
        schema: {
          tags,
          summary: 'Get everything that the platform holds of the person who asks',
          response: { 200: personalDataView },
        },
      },
      async (request) => {
        const { userId } = personOf(request)
        // memberships and invitations are their tenants' to tell
        await identity.untilCurrent()
        const user = await getUser(reads, userId)
        if (!user || user.erasedAt) throw new OmiumError('not_found', 'there is no such person any more')
        const [email, name, logins, memberships, invitations, sessions] = await Promise.all([
          user.email && personalData.open(user.email),
          user.name && personalData.open(user.name),
          loginsOf(reads, userId),
          membershipsOf(reads, userId),
          invitationsOf(reads, user.address, new Date(nowMs())),
          sessionsOf(reads, userId),
        ])
        return {
          userId,
          ...(email && { email }),
          ...(name && { name }),
          registeredAt: user.registeredAt.toISOString(),
          logins: logins.map(({ linkedAt, ...login }) => ({ ...login, linkedAt: linkedAt.toISOString() })),
          memberships: [...memberships],
          invitations: invitations.map(({ id, tenant, tenantName, role, expiresAt }) => ({
            id,
            tenant,
            tenantName,
            role,
            expiresAt: expiresAt.toISOString(),
          })),
          sessions: sessions.map(({ id, tenant, client, login, startedAt, refreshedAt, expiresAt }) => ({
            sessionId: id,
            tenant,
            client,
            method: login.method,
            startedAt: startedAt.toISOString(),
            refreshedAt: refreshedAt.toISOString(),
            expiresAt: expiresAt.toISOString(),
          })),
        }
      },
    )
  }
