import type { SessionCaller } from '@omium/access'
import { OmiumError, type UserCommand } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { type Ceremony, ceremonyMs, type PendingSignIn } from '../factors/ceremonies.ts'
import { type Proved, requireWebAuthn, together } from '../factors/second-factors.ts'
import { assertion } from '../factors/webauthn.ts'
import { requireSameOrigin } from '../origin.ts'
import { secondFactorPage } from '../pages/factor-pages.ts'
import { checkReturnTo, returnToParam } from '../return-to.ts'
import type { SignInServices } from '../services.ts'
import { byCookie, countAttempt, sendPage, sessionOf, tokensFor, wantsHtml } from './answers.ts'
import { ceremonyOf, fromForm } from './ceremony-bodies.ts'

/** Who is to prove a second factor: a sign-in that misses one, or somebody who is in and wants to do more. */
interface Subject {
  readonly userId: string
  readonly pending: PendingSignIn | undefined
  readonly session: SessionCaller | undefined
}

/** Proving a second factor, at the end of a sign-in or in a session (step-up). */
export const secondFactorRoutes =
  (services: SignInServices): FastifyPluginAsyncZod =>
  async (app) => {
    const { publicUrl, cookies, pending, sessions, factors, webAuthn, ceremonies, returnTo } = services
    const config = { public: true, limit: 'sensitive' } as const

    const subjectOf = async (request: FastifyRequest): Promise<Subject> => {
      const sealed = byCookie(request) ? cookies.read(request.headers.cookie, 'pending') : undefined
      if (sealed) {
        if (request.method !== 'GET') requireSameOrigin(request.headers, publicUrl)
        const missing = await pending.open(sealed)
        return { userId: missing.userId, pending: missing, session: undefined }
      }
      const session = await sessionOf(services, request)
      return { userId: session.userId, pending: undefined, session }
    }

    /** Into the session that waited for it, or up with the one that there is. */
    const finish = async (
      request: FastifyRequest,
      reply: FastifyReply,
      { pending: missing, session }: Subject,
      { proof, amr }: Proved,
      landing: string,
    ): Promise<FastifyReply> => {
      if (missing) {
        const { sessionId, client, authenticatedAt } = missing
        const proved = { amr: together(missing.amr, amr), authenticatedAt, client, factor: proof }
        const tokens = await sessions.start(missing, proved, sessionId, request.id)
        cookies.clear(reply, 'pending', 'ceremony')
        return answer(request, reply, tokensFor(services, reply, true, tokens), missing.returnTo)
      }
      if (!session) throw new OmiumError('unauthenticated', 'sign in first')
      const { sessionId } = session
      const command: UserCommand = {
        type: 'StepUpSession',
        data: { sessionId, proof, amr: together(session.amr, amr) },
      }
      const tokens = await sessions.change(session, command, request.id)
      cookies.clear(reply, 'ceremony')
      return answer(request, reply, tokensFor(services, reply, byCookie(request), tokens), landing)
    }
    const answer = (request: FastifyRequest, reply: FastifyReply, body: object, landing: string): FastifyReply =>
      wantsHtml(request) ? reply.redirect(landing, 303) : reply.send(body)

    const landingOf = (path: string | undefined): string => checkReturnTo(path, returnTo)

    app.get(
      '/auth/mfa',
      { config: { public: true }, schema: { hide: true, querystring: z.object({ return_to: returnToParam }) } },
      async (request, reply) => {
        const { userId, pending: missing } = await subjectOf(request)
        const landing = landingOf(request.query.return_to)
        const kinds = await factors.kinds(userId)
        if (!wantsHtml(request)) return { pending: missing !== undefined, accepts: [...kinds, 'recovery_code'] }
        const keys = webAuthn !== undefined && kinds.some((kind) => kind !== 'totp')
        return sendPage(reply, secondFactorPage({ returnTo: landing, keys }))
      },
    )

    app.post(
      '/auth/mfa/code',
      { config, schema: { hide: true, body: z.object({ code: z.string().max(40), return_to: returnToParam }) } },
      async (request, reply) => {
        await countAttempt(services, request)
        const subject = await subjectOf(request)
        const landing = landingOf(request.body.return_to)
        const proved = await factors.codeProof(subject.userId, request.body.code)
        return finish(request, reply, subject, proved, landing)
      },
    )

    const begun = async (reply: FastifyReply, ceremony: Ceremony): Promise<string> => {
      const sealed = await ceremonies.seal(ceremony, ceremonyMs)
      cookies.set(reply, 'ceremony', sealed, ceremonyMs)
      return sealed
    }

    app.post(
      '/auth/mfa/webauthn/begin',
      { config, schema: { hide: true, body: z.unknown() } },
      async (request, reply) => {
        await countAttempt(services, request)
        const { userId } = await subjectOf(request)
        const known = await factors.credentials(userId)
        if (known.length === 0) throw new OmiumError('factor_unknown', 'there is no security key and no passkey')
        const options = await requireWebAuthn(webAuthn).assertion(known)
        return { options, ceremony: await begun(reply, { for: 'assertion', userId, challenge: options.challenge }) }
      },
    )

    app.post(
      '/auth/mfa/webauthn',
      { config, schema: { hide: true, body: fromForm(assertion).extend({ return_to: returnToParam }) } },
      async (request, reply) => {
        await countAttempt(services, request)
        const subject = await subjectOf(request)
        const { response, ceremony, return_to } = request.body
        const { challenge } = await ceremonyOf(services, request, ceremony, 'assertion', subject.userId)
        const landing = landingOf(return_to)
        const proved = await factors.assertionProof(subject.userId, response, challenge, { passkey: false })
        return finish(request, reply, subject, proved, landing)
      },
    )

    app.post(
      '/auth/passkeys/begin',
      { config, schema: { hide: true, body: z.object({ return_to: returnToParam }).nullish() } },
      async (request, reply) => {
        requireSameOrigin(request.headers, publicUrl)
        await countAttempt(services, request)
        const landing = landingOf(request.body?.return_to)
        // names nobody: the browser shows whatever passkeys it has for this site
        const options = await requireWebAuthn(webAuthn).assertion([])
        const ceremony = { for: 'passkey', challenge: options.challenge, returnTo: landing } as const
        return { options, ceremony: await begun(reply, ceremony) }
      },
    )

    app.post(
      '/auth/passkeys',
      { config, schema: { hide: true, body: fromForm(assertion) } },
      async (request, reply) => {
        requireSameOrigin(request.headers, publicUrl)
        await countAttempt(services, request)
        const { response, ceremony } = request.body
        const { challenge, returnTo: landing } = await ceremonyOf(services, request, ceremony, 'passkey')
        cookies.clear(reply, 'ceremony', 'pending')
        const userId = Buffer.from(response.response.userHandle ?? '', 'base64url').toString()
        const proved = await factors.assertionProof(userId, response, challenge, { passkey: true })
        const subject = services.personalData.digest('login', `${publicUrl} ${response.id}`)
        const signedIn = await services.accounts.enter(
          userId,
          { method: 'passkey', issuer: publicUrl, subject },
          request.id,
        )
        const now = services.nowMs()
        const proof = { amr: proved.amr, authenticatedAt: now, client: 'browser', factor: proved.proof } as const
        const tokens = await sessions.start(signedIn, proof, services.ids('session'), request.id)
        return answer(request, reply, tokensFor(services, reply, true, tokens), landing)
      },
    )
  }
