import { callerId, OmiumError } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { requireSameOrigin } from '../origin.ts'
import { sessionPage } from '../pages/pages.ts'
import { sessionsPage } from '../pages/sessions-page.ts'
import { sessionsPath } from '../return-to.ts'
import type { SignInServices } from '../services.ts'
import type { Tokens } from '../sessions.ts'
import { byCookie, sendPage, sessionOf, tokensFor, wantsHtml } from './answers.ts'

const sessionParam = z.object({ sessionId: callerId })
const refreshBody = z.object({ refreshToken: z.string().max(1000).optional() }).nullish()

/** Sessions: what they are, renewing, switching and ending them. Browsers carry cookies; programs carry the tokens. */
export const sessionRoutes =
  (services: SignInServices): FastifyPluginAsyncZod =>
  async (app) => {
    const { publicUrl, sessions, callers, cookies, reads, personalData } = services

    const callerOf = (request: FastifyRequest) => sessionOf(services, request)

    const sendTokens = (
      request: FastifyRequest,
      reply: FastifyReply,
      cookie: boolean,
      tokens: Tokens,
    ): FastifyReply => {
      const answer = tokensFor(services, reply, cookie, tokens)
      return cookie && wantsHtml(request) ? reply.redirect('/auth/session', 303) : reply.send(answer)
    }

    app.get('/auth/session', { config: { public: true }, schema: { hide: true } }, async (request, reply) => {
      const caller = await callers.callerOf(request.headers, request.method)
      if (!caller) {
        if (wantsHtml(request)) return reply.redirect('/auth/sign-in', 303)
        throw new OmiumError('unauthenticated', 'sign in at /auth/sign-in, or refresh the session')
      }
      const { userId, sessionId, tenant, amr, authenticatedAt, mfaAt } = caller
      const [user, memberships] = await Promise.all([reads.user(userId), sessions.memberships(userId)])
      const email = user?.email && (await personalData.open(user.email))
      const name = user?.name && (await personalData.open(user.name))
      if (wantsHtml(request)) {
        const acting = memberships.find((membership) => membership.tenant === tenant)
        return sendPage(reply, sessionPage({ email: email || userId, tenant: acting?.name ?? tenant }))
      }
      return { userId, email, name, sessionId, tenant, amr, authenticatedAt, mfaAt, memberships }
    })

    app.get(sessionsPath, { config: { public: true }, schema: { hide: true } }, async (request, reply) => {
      const { userId, sessionId: current } = await callerOf(request)
      const items = (await sessions.list(userId)).map(
        ({ id, login, tenant, client, startedAt, refreshedAt, expiresAt }) => ({
          sessionId: id,
          current: id === current,
          tenant,
          client,
          method: login.method,
          startedAt,
          refreshedAt,
          expiresAt,
        }),
      )
      if (!wantsHtml(request)) return { items }
      const names = new Map((await sessions.memberships(userId)).map(({ tenant, name }) => [tenant, name]))
      return sendPage(
        reply,
        sessionsPage(items.map((one) => ({ ...one, tenant: names.get(one.tenant) ?? one.tenant }))),
      )
    })

    app.delete(
      '/auth/sessions/:sessionId',
      { config: { public: true }, schema: { hide: true, params: sessionParam } },
      async (request, reply) => {
        await sessions.end(await callerOf(request), request.params.sessionId, request.id)
        return reply.status(204).send()
      },
    )
    // forms know no DELETE
    app.post(
      '/auth/sessions/:sessionId/end',
      { config: { public: true }, schema: { hide: true, params: sessionParam, body: z.unknown() } },
      async (request, reply) => {
        await sessions.end(await callerOf(request), request.params.sessionId, request.id)
        return wantsHtml(request) ? reply.redirect(sessionsPath, 303) : reply.status(204).send()
      },
    )

    app.post(
      '/auth/refresh',
      { config: { public: true, limit: 'sensitive' }, schema: { hide: true, body: refreshBody } },
      async (request, reply) => {
        const given = request.body?.refreshToken
        if (given === undefined) requireSameOrigin(request.headers, publicUrl)
        const token = given ?? cookies.read(request.headers.cookie, 'refresh')
        if (!token) throw new OmiumError('unauthenticated', 'there is no session to refresh: sign in')
        return sendTokens(request, reply, given === undefined, await sessions.refresh(token, request.id))
      },
    )

    app.post(
      '/auth/switch-tenant',
      { config: { public: true }, schema: { hide: true, body: z.object({ tenant: callerId }) } },
      async (request, reply) => {
        const caller = await callerOf(request)
        const tokens = await sessions.switchTenant(caller, request.body.tenant, request.id)
        return sendTokens(request, reply, byCookie(request), tokens)
      },
    )

    const signedOut = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
      cookies.clear(reply, 'access', 'refresh')
      return wantsHtml(request) ? reply.redirect('/auth/sign-in', 303) : reply.status(204).send()
    }

    app.post(
      '/auth/sign-out',
      { config: { public: true }, schema: { hide: true, body: z.unknown() } },
      async (request, reply) => {
        if (byCookie(request)) requireSameOrigin(request.headers, publicUrl)
        const refreshToken = byCookie(request) ? cookies.read(request.headers.cookie, 'refresh') : undefined
        const caller = refreshToken
          ? sessions.ownerOf(refreshToken)
          : await callers.callerOf(request.headers, request.method)
        if (caller) await sessions.end(caller, caller.sessionId, request.id)
        return signedOut(request, reply)
      },
    )

    app.post(
      '/auth/sign-out-everywhere',
      { config: { public: true }, schema: { hide: true, body: z.unknown() } },
      async (request, reply) => {
        await sessions.endAll(await callerOf(request), request.id)
        return signedOut(request, reply)
      },
    )
  }
