import { requireMayAppoint } from '@omium/access'
import {
  getMember,
  getUser,
  type InvitationRecord,
  invitationsOf,
  listInvitations,
  listMembers,
  type MemberRecord,
} from '@omium/projection-identity'
import {
  aggregateKey,
  changeMemberBody,
  heldSubject,
  type InvitationView,
  identityReceipt,
  invitationParam,
  invitationView,
  inviteBody,
  type MemberView,
  memberView,
  OmiumError,
  page,
  pageQuery,
  receivedInvitation,
  receivedInvitationParam,
  type TenantCommand,
  userIdParam,
} from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import { askerOf, commandIdOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'

const invitationMs = 7 * 86_400_000

/** Members of the caller's tenant, and invitations: sent by it, and received by whoever asks. */
export const memberRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, identity, personalData, ids, nowMs } = services
    const tags = ['members']

    const send = async (request: FastifyRequest, tenant: string, id: string, command: TenantCommand) => {
      const aggregate = aggregateKey('tenant', tenant, tenant)
      const asker = { ...askerOf(request), tenant }
      return { id, ...(await identity.execute(asker, aggregate, commandIdOf(request, ids, id), command)) }
    }
    const current = (tenant: string) => identity.untilCurrent(aggregateKey('tenant', tenant, tenant))
    const memberOf = async ({ userId, role, since, email, name }: MemberRecord): Promise<MemberView> => {
      const [address, called] = await Promise.all([email && personalData.open(email), name && personalData.open(name)])
      return {
        userId,
        role,
        since: since.toISOString(),
        ...(address && { email: address }),
        ...(called && { name: called }),
      }
    }
    const invitationOf = async (record: InvitationRecord): Promise<InvitationView> => {
      const email = await personalData.open(record.email)
      return {
        id: record.id,
        ...(email !== undefined && { email }),
        role: record.role,
        status: record.expiresAt.getTime() > nowMs() ? 'open' : 'expired',
        invitedBy: record.invitedBy,
        invitedAt: record.invitedAt.toISOString(),
        expiresAt: record.expiresAt.toISOString(),
      }
    }
    /** The person who asks. @throws OmiumError `forbidden` for keys, which are nobody */
    const personOf = async (request: FastifyRequest) => {
      const { session } = callerOf(request)
      const user = session && (await getUser(reads, session.userId))
      if (!user || user.erasedAt) throw new OmiumError('forbidden', 'this is for people who are signed in')
      return user
    }

    app.get(
      '/v1/members',
      {
        config: { permission: 'members:read' },
        schema: { tags, summary: 'List members', querystring: pageQuery, response: { 200: page(memberView) } },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        await current(tenant)
        const { items, ...rest } = await listMembers(reads, tenant, request.query)
        return { items: await Promise.all(items.map(memberOf)), ...rest }
      },
    )

    app.get(
      '/v1/members/:userId',
      {
        config: { permission: 'members:read' },
        schema: { tags, summary: 'Get a member', params: userIdParam, response: { 200: memberView } },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        await current(tenant)
        const member = await getMember(reads, tenant, request.params.userId)
        if (!member) throw new OmiumError('member_unknown', `${request.params.userId} is no member`)
        return memberOf(member)
      },
    )

    app.patch(
      '/v1/members/:userId',
      {
        config: { permission: 'members:write', stepUp: true },
        schema: {
          tags,
          summary: "Change a member's role; owners only by owners",
          params: userIdParam,
          body: changeMemberBody,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { userId } = request.params
        const { role } = request.body
        requireMayAppoint(callerOf(request), role)
        return send(request, callerOf(request).tenant, userId, { type: 'ChangeMemberRole', data: { userId, role } })
      },
    )

    app.delete(
      '/v1/members/:userId',
      {
        // members leave by themselves; for everybody else the tenant's own roles decide
        config: { permission: 'authenticated', stepUp: true },
        schema: {
          tags,
          summary: 'Leave, or remove a member; their sessions in this tenant end',
          params: userIdParam,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { tenant, session, permissions } = callerOf(request)
        const { userId } = request.params
        const leaves = session?.userId === userId
        if (!leaves && !permissions.has('members:write'))
          throw new OmiumError('forbidden', 'this needs the permission members:write')
        const why = leaves ? 'left' : 'removed'
        return send(request, tenant, userId, { type: 'RemoveMember', data: { userId, why } })
      },
    )

    app.get(
      '/v1/invitations',
      {
        config: { permission: 'members:read' },
        schema: {
          tags,
          summary: 'List invitations that nobody has accepted yet, newest first',
          querystring: pageQuery,
          response: { 200: page(invitationView) },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        await current(tenant)
        const { items, ...rest } = await listInvitations(reads, tenant, request.query)
        return { items: await Promise.all(items.map(invitationOf)), ...rest }
      },
    )

    app.post(
      '/v1/invitations',
      {
        config: { permission: 'members:write', stepUp: true },
        schema: {
          tags,
          summary: 'Invite somebody by e-mail address; an open invitation to it is replaced',
          body: inviteBody,
          response: { 201: identityReceipt },
        },
      },
      async (request, reply) => {
        const { email, role } = request.body
        requireMayAppoint(callerOf(request), role)
        const invitationId = newIdOf(request, ids, 'invitation')
        const address = personalData.digest('email', email)
        const data = {
          invitationId,
          address,
          email: await personalData.seal(heldSubject(address, callerOf(request).tenant), email),
          role,
          expiresAt: nowMs() + invitationMs,
        }
        const decided = await send(request, callerOf(request).tenant, invitationId, { type: 'InviteMember', data })
        return reply.status(201).send(decided)
      },
    )

    app.delete(
      '/v1/invitations/:id',
      {
        config: { permission: 'members:write', stepUp: true },
        schema: {
          tags,
          summary: 'Take an invitation back',
          params: invitationParam,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { id: invitationId } = request.params
        return send(request, callerOf(request).tenant, invitationId, {
          type: 'RevokeInvitation',
          data: { invitationId },
        })
      },
    )

    app.get(
      '/v1/me/invitations',
      {
        config: { permission: 'authenticated' },
        schema: {
          tags,
          summary: 'Invitations to whoever asks',
          response: { 200: z.object({ items: z.array(receivedInvitation) }) },
        },
      },
      async (request) => {
        const { address } = await personOf(request)
        await identity.untilCurrent()
        const received = await invitationsOf(reads, address, new Date(nowMs()))
        return {
          items: received.map(({ id, tenant, tenantName, role, expiresAt }) => ({
            id,
            tenant,
            tenantName,
            role,
            expiresAt: expiresAt.toISOString(),
          })),
        }
      },
    )

    app.post(
      '/v1/me/invitations/:tenant/:id/accept',
      {
        config: { permission: 'authenticated' },
        schema: {
          tags,
          summary: 'Become a member of the tenant that sent an invitation',
          params: receivedInvitationParam,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { id: userId, address } = await personOf(request)
        const { tenant, id: invitationId } = request.params
        return send(request, tenant, invitationId, {
          type: 'AcceptInvitation',
          data: { invitationId, userId, address },
        })
      },
    )
  }
