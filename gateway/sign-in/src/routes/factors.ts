import { requireFreshProof, type SessionCaller } from '@omium/access'
import { callerId, OmiumError } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { renderSVG } from 'uqr'
import { z } from 'zod'
import { type Ceremony, ceremonyMs } from '../factors/ceremonies.ts'
import { type NewFactor, requireWebAuthn } from '../factors/second-factors.ts'
import { newTotpSecret, totpStep, totpUri } from '../factors/totp.ts'
import { factorsPage, recoveryCodesPage, totpPage } from '../pages/factor-pages.ts'
import { factorsPath } from '../return-to.ts'
import type { SignInServices } from '../services.ts'
import { byCookie, countAttempt, sendPage, sessionOf, tokensFor, wantsHtml } from './answers.ts'
import { ceremonyOf, fromForm } from './ceremony-bodies.ts'

const label = z.string().trim().min(1).max(100)
const factorParam = z.object({ factorId: callerId })

/** Second factors of whoever is signed in. Changing anything needs a fresh proof. */
export const factorRoutes =
  (services: SignInServices): FastifyPluginAsyncZod =>
  async (app) => {
    const { cookies, factors, webAuthn, ceremonies, reads, personalData, ids, nowMs } = services
    const config = { public: true, limit: 'sensitive' } as const

    const provedOf = async (request: FastifyRequest): Promise<SessionCaller> => {
      await countAttempt(services, request)
      const caller = await sessionOf(services, request)
      requireFreshProof(caller, await factors.kinds(caller.userId), nowMs())
      return caller
    }
    const emailOf = async (userId: string): Promise<string> => {
      const user = await reads.user(userId)
      return (user?.email && (await personalData.open(user.email))) || userId
    }
    const begun = async (reply: FastifyReply, ceremony: Ceremony): Promise<string> => {
      const sealed = await ceremonies.seal(ceremony, ceremonyMs)
      cookies.set(reply, 'ceremony', sealed, ceremonyMs)
      return sealed
    }
    const add = async (request: FastifyRequest, reply: FastifyReply, caller: SessionCaller, factor: NewFactor) => {
      const { tokens, recoveryCodes } = await factors.add(caller, factor, request.id)
      cookies.clear(reply, 'ceremony')
      const answer = tokensFor(services, reply, byCookie(request), tokens)
      if (!wantsHtml(request))
        return reply.status(201).send({ id: factor.factorId, ...(recoveryCodes && { recoveryCodes }), ...answer })
      return recoveryCodes ? sendPage(reply, recoveryCodesPage(recoveryCodes)) : reply.redirect(factorsPath, 303)
    }

    app.get('/auth/factors', { config: { public: true }, schema: { hide: true } }, async (request, reply) => {
      const { userId } = await sessionOf(services, request)
      const [items, recoveryCodesLeft] = await Promise.all([factors.list(userId), factors.recoveryCodesLeft(userId)])
      if (!wantsHtml(request)) return { items, recoveryCodesLeft }
      return sendPage(reply, factorsPage({ items, recoveryCodesLeft, keys: webAuthn !== undefined }))
    })

    app.post(
      '/auth/factors/totp/begin',
      { config, schema: { hide: true, body: z.unknown() } },
      async (request, reply) => {
        const { userId } = await provedOf(request)
        const secret = newTotpSecret()
        const uri = totpUri(secret, await emailOf(userId))
        const ceremony = await begun(reply, { for: 'totp', userId, secret })
        if (wantsHtml(request)) return sendPage(reply, totpPage({ secret, qrCode: renderSVG(uri) }))
        return { secret, uri, ceremony }
      },
    )

    app.post(
      '/auth/factors/totp',
      {
        config,
        schema: {
          hide: true,
          body: z.object({ code: z.string().max(40), label, ceremony: z.string().max(8_000).optional() }),
        },
      },
      async (request, reply) => {
        const caller = await provedOf(request)
        const { code, label: called, ceremony } = request.body
        const { secret } = await ceremonyOf(services, request, ceremony, 'totp', caller.userId)
        await factors.countTry(caller.userId)
        const step = totpStep(secret, code.replace(/\s/g, ''), nowMs())
        if (step === undefined)
          throw new OmiumError('factor_refused', 'this code is wrong or too old: try the next one')
        const factorId = ids('factor')
        return add(request, reply, caller, {
          factorId,
          kind: 'totp',
          label: called,
          material: secret,
          proof: { kind: 'totp', factorId, step },
          amr: ['otp', 'mfa'],
        })
      },
    )

    app.post(
      '/auth/factors/webauthn/begin',
      { config, schema: { hide: true, body: z.object({ kind: z.enum(['security_key', 'passkey']) }) } },
      async (request, reply) => {
        const { userId } = await provedOf(request)
        const { kind } = request.body
        const user = { id: userId, email: await emailOf(userId) }
        const options = await requireWebAuthn(webAuthn).registration(user, kind, await factors.credentials(userId))
        const { challenge } = options
        return { options, ceremony: await begun(reply, { for: 'registration', userId, kind, challenge }) }
      },
    )

    app.post(
      '/auth/factors/webauthn',
      { config, schema: { hide: true, body: fromForm(z.looseObject({ id: z.string() })).extend({ label }) } },
      async (request, reply) => {
        const caller = await provedOf(request)
        const { response, ceremony, label: called } = request.body
        const { challenge, kind } = await ceremonyOf(services, request, ceremony, 'registration', caller.userId)
        const { signCount, ...made } = await requireWebAuthn(webAuthn).register(response, challenge, kind)
        const factorId = ids('factor')
        return add(request, reply, caller, {
          factorId,
          kind,
          label: called,
          material: JSON.stringify(made),
          proof: { kind: 'webauthn', factorId, challenge: factors.challengeDigest(challenge), signCount },
          amr: [made.singleDevice ? 'hwk' : 'swk', 'mfa'],
        })
      },
    )

    const remove = async (request: FastifyRequest, factorId: string): Promise<void> =>
      factors.remove(await provedOf(request), factorId, request.id)

    app.delete(
      '/auth/factors/:factorId',
      { config, schema: { hide: true, params: factorParam } },
      async (request, reply) => {
        await remove(request, request.params.factorId)
        return reply.status(204).send()
      },
    )
    // forms know no DELETE
    app.post(
      '/auth/factors/:factorId/remove',
      { config, schema: { hide: true, params: factorParam, body: z.unknown() } },
      async (request, reply) => {
        await remove(request, request.params.factorId)
        return wantsHtml(request) ? reply.redirect(factorsPath, 303) : reply.status(204).send()
      },
    )

    app.post('/auth/recovery-codes', { config, schema: { hide: true, body: z.unknown() } }, async (request, reply) => {
      const recoveryCodes = await factors.renewRecoveryCodes(await provedOf(request), request.id)
      return wantsHtml(request) ? sendPage(reply, recoveryCodesPage(recoveryCodes)) : { recoveryCodes }
    })
  }
