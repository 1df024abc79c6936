import { createHash } from 'node:crypto'
import { hasFreshProof, type SessionCaller } from '@omium/access'
import { OmiumError } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { deviceGrantMs } from '../device-grants.ts'
import { networkOf } from '../network.ts'
import { requireSameOrigin } from '../origin.ts'
import { deviceCodePage, deviceDecidedPage, deviceReviewPage } from '../pages/pages.ts'
import { devicePage } from '../return-to.ts'
import type { SignInServices } from '../services.ts'
import { countAttempt, sendPage } from './answers.ts'

/** the one program that may ask: others would be shown by names that they choose themselves */
const clientId = 'omium-cli'
const grantType = 'urn:ietf:params:oauth:grant-type:device_code'
const intervalSeconds = 5
/** somewhat shorter than what programs are told, as requests travel */
const perPoll = { attempts: 1, withinMs: intervalSeconds * 1000 - 1_000 }
/** codes that one person may try: of 20^8 a handful are alive */
const perPerson = { attempts: 10, withinMs: deviceGrantMs }

const userCode = z.string().max(50)
const deviceBody = z.object({ client_id: z.string().max(100) })
const tokenBody = z.object({
  grant_type: z.string().max(200),
  client_id: z.string().max(100),
  device_code: z.string().max(200),
})

/** As OAuth refuses (RFC 6749, 5.2; RFC 8628, 3.5); everything else is a problem of the gateway. */
type OAuthError =
  | 'invalid_client'
  | 'unsupported_grant_type'
  | 'invalid_grant'
  | 'authorization_pending'
  | 'slow_down'
  | 'access_denied'
  | 'expired_token'

const refuse = (reply: FastifyReply, error: OAuthError, description: string): FastifyReply =>
  reply.status(error === 'invalid_client' ? 401 : 400).send({ error, error_description: description })

/** Programs ask for a session; people let them in. */
export const deviceRoutes =
  (services: SignInServices): FastifyPluginAsyncZod =>
  async (app) => {
    const { publicUrl, deviceGrants, sessions, factors, callers, limits, reads, personalData, ids, nowMs } = services

    app.post(
      '/auth/device',
      { config: { public: true, limit: 'sensitive' }, schema: { hide: true, body: deviceBody } },
      async (request, reply) => {
        if (request.body.client_id !== clientId) return refuse(reply, 'invalid_client', 'there is no such client')
        await countAttempt(services, request)
        const requested = await deviceGrants.request(request.ip, request.id)
        return {
          device_code: requested.deviceCode,
          user_code: requested.userCode,
          verification_uri: `${publicUrl}${devicePage}`,
          expires_in: deviceGrantMs / 1000,
          interval: intervalSeconds,
        }
      },
    )

    app.post(
      '/auth/token',
      { config: { public: true, limit: 'sensitive' }, schema: { hide: true, body: tokenBody } },
      async (request, reply) => {
        const { grant_type, client_id, device_code } = request.body
        if (client_id !== clientId) return refuse(reply, 'invalid_client', 'there is no such client')
        if (grant_type !== grantType)
          return refuse(reply, 'unsupported_grant_type', `the only grant type is ${grantType}`)
        const named = createHash('sha256').update(device_code).digest('hex')
        try {
          await limits.take(`device-poll:${named}`, perPoll)
        } catch (error) {
          if (!(error instanceof OmiumError) || error.code !== 'rate_limited') throw error
          return refuse(reply, 'slow_down', `ask every ${intervalSeconds} s, and 5 s less often after each slow_down`)
        }
        switch (await deviceGrants.look(device_code)) {
          case 'asked':
            return refuse(reply, 'authorization_pending', 'nobody has decided yet')
          case 'denied':
            return refuse(reply, 'access_denied', 'the person does not want this')
          case 'expired':
            return refuse(reply, 'expired_token', 'nobody has decided in time: begin again')
          case 'unknown':
            await countAttempt(services, request)
            return refuse(reply, 'invalid_grant', 'this code was used, or was never given out')
          case 'approved':
            return redeem(request, reply, device_code)
        }
      },
    )

    const redeem = async (request: FastifyRequest, reply: FastifyReply, deviceCode: string): Promise<FastifyReply> => {
      const sessionId = ids('session')
      try {
        const { signedIn, proof } = await deviceGrants.redeem(deviceCode, sessionId, request.id)
        const { accessToken, refreshToken, accessLivesMs } = await sessions.start(
          signedIn,
          proof,
          sessionId,
          request.id,
        )
        return reply.send({
          access_token: accessToken,
          token_type: 'Bearer',
          expires_in: Math.floor(accessLivesMs / 1000),
          refresh_token: refreshToken,
        })
      } catch (error) {
        const code = error instanceof OmiumError ? error.code : undefined
        // whoever let it in has signed out since
        if (code === 'session_ended') return refuse(reply, 'invalid_grant', 'the session that let it in has ended')
        // somebody was faster with the same code
        if (code === 'sign_in_expired')
          return refuse(reply, 'invalid_grant', 'this code was used, or was never given out')
        throw error
      }
    }

    /** Who sits in front of the page. @throws OmiumError `unauthenticated` */
    const personOf = async (request: FastifyRequest): Promise<SessionCaller> => {
      requireSameOrigin(request.headers, publicUrl)
      const person = await callers.callerOf(request.headers, request.method)
      if (!person) throw new OmiumError('unauthenticated', 'sign in first')
      await countAttempt(services, request)
      return person
    }

    app.get(
      devicePage,
      // `fresh`: what the program wants to do needs a fresh proof, which its session has from the one that lets it in
      {
        config: { public: true },
        schema: { hide: true, querystring: z.object({ fresh: z.stringbool().default(false) }) },
      },
      async (request, reply) => {
        const person = await callers.callerOf(request.headers, request.method)
        const landing = `return_to=${encodeURIComponent(devicePage)}`
        if (!person) return reply.redirect(`/auth/sign-in?${landing}`, 303)
        const kinds = await factors.kinds(person.userId)
        // a session without a second factor lets in nobody who has one
        if (person.mfaAt === undefined && kinds.length > 0) return reply.redirect(`/auth/mfa?${landing}`, 303)
        if (request.query.fresh && !hasFreshProof(person, kinds, nowMs()))
          return reply.redirect(kinds.length > 0 ? `/auth/mfa?${landing}` : `/auth/sign-in?fresh=true&${landing}`, 303)
        return sendPage(reply, deviceCodePage())
      },
    )

    app.post(
      '/auth/device/review',
      { config: { public: true, limit: 'sensitive' }, schema: { hide: true, body: z.object({ user_code: userCode }) } },
      async (request, reply) => {
        const { userId, tenant } = await personOf(request)
        await limits.take(`device-code:${userId}`, perPerson)
        const [reviewed, user, memberships] = await Promise.all([
          deviceGrants.review(request.body.user_code),
          reads.user(userId),
          sessions.memberships(userId),
        ])
        const email = user?.email && (await personalData.open(user.email))
        return sendPage(
          reply,
          deviceReviewPage({
            ...reviewed,
            email: email || userId,
            tenant: memberships.find((membership) => membership.tenant === tenant)?.name ?? tenant,
            nearby: networkOf(reviewed.address) === networkOf(request.ip),
          }),
        )
      },
    )

    app.post(
      '/auth/device/decide',
      {
        config: { public: true, limit: 'sensitive' },
        schema: { hide: true, body: z.object({ user_code: userCode, decision: z.enum(['approved', 'denied']) }) },
      },
      async (request, reply) => {
        const { user_code, decision } = request.body
        const person = await personOf(request)
        await limits.take(`device-code:${person.userId}`, perPerson)
        await deviceGrants.decide(user_code, person, decision, request.id)
        return sendPage(reply, deviceDecidedPage(decision === 'approved'))
      },
    )
  }
