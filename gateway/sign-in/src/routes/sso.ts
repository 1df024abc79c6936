import type { SsoConnectionRecord } from '@omium/projection-identity'
import { OmiumError, ssoConnectionId } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { bouncePage, bouncePolicy, outcomeOf, type Trial, trialPage, trialReport } from '../pages/sso-pages.ts'
import { checkReturnTo, defaultReturnTo, returnToParam } from '../return-to.ts'
import type { SignInServices } from '../services.ts'
import { ssoRedirectUri } from '../sso/connections.ts'
import { samlRefused } from '../sso/saml/refusal.ts'
import { isUnsolicited } from '../sso/saml/xml.ts'
import type { SsoTransaction, TrialOf } from '../sso/sso.ts'
import { judge, type SsoAnswer } from '../sso/verdict.ts'
import { countSsoAttempt, finishSignIn, sendPage, wantsHtml } from './answers.ts'

/** how long a sign-in may take */
const transactionMs = 10 * 60_000
const responseBytes = 512 * 1024

const connectionParam = z.object({ connection: ssoConnectionId })
const samlAnswer = z.object({
  SAMLResponse: z.string().min(1).max(400_000),
  /** sent by our own page */
  bounced: z.literal('true').optional(),
})

/**
 * Sign-in at a tenant's own identity provider: there, and back.
 *
 * 1. What comes back belongs to the browser that was sent: an encrypted cookie says which request it answers. Only a connection
 *    that says so takes assertions that nobody asked for.
 * 2. A response that another site posts comes without the cookie (`SameSite=Lax`), so it is sent once more by a page of ours.
 *    `SameSite=None` would need https everywhere and give the cookie to every site.
 * 3. A trial ends in a report: it takes no assertion, links nobody and signs nobody in.
 */
export const ssoRoutes =
  (services: SignInServices): FastifyPluginAsyncZod =>
  async (app) => {
    const { publicUrl, sso, cookies, ids, returnTo } = services
    const { connections, admission, transactions, trials } = sso

    const begin = async (
      request: FastifyRequest,
      reply: FastifyReply,
      connection: SsoConnectionRecord,
      { fresh, landing, trial }: { fresh: boolean; landing: string; trial?: TrialOf },
    ) => {
      await countSsoAttempt(services, request)
      const { url, secrets } = await connections.begin(connection, fresh)
      const transaction = { connection: connection.id, returnTo: landing, secrets, ...(trial && { trial }) }
      cookies.set(reply, 'sso', await transactions.seal(transaction, transactionMs), transactionMs)
      return reply.redirect(url.href, 303)
    }

    app.get(
      '/auth/sso/:connection/start',
      {
        config: { public: true },
        schema: {
          hide: true,
          params: connectionParam,
          querystring: z.object({ return_to: returnToParam, fresh: z.stringbool().default(false) }),
        },
      },
      async (request, reply) => {
        const { return_to, fresh } = request.query
        const landing = checkReturnTo(return_to, returnTo)
        const connection = await connections.get(request.params.connection)
        // what is no way in looks like what is not there
        if (connection.status !== 'active')
          throw new OmiumError('sso_connection_unknown', 'there is no such way to sign in')
        return begin(request, reply, connection, { fresh, landing })
      },
    )

    app.get(
      '/auth/sso/:connection/test',
      {
        config: { public: true },
        schema: { hide: true, params: connectionParam, querystring: z.object({ token: z.string().max(2000) }) },
      },
      async (request, reply) => {
        const trial = await trials.open(request.query.token)
        if (trial.connection !== request.params.connection)
          throw new OmiumError('sign_in_expired', 'this trial is of another connection')
        const connection = await connections.get(trial.connection)
        return begin(request, reply, connection, { fresh: false, landing: defaultReturnTo, trial })
      },
    )

    /** What the browser was sent with. @throws OmiumError `sign_in_expired` */
    const opened = async (request: FastifyRequest, reply: FastifyReply, id: string): Promise<SsoTransaction> => {
      const transaction = await transactions.open(cookies.read(request.headers.cookie, 'sso') ?? '')
      cookies.clear(reply, 'sso')
      if (transaction.connection !== id)
        throw new OmiumError('sign_in_expired', 'the sign-in that is under way is with another connection: begin again')
      return transaction
    }

    const complete = async (
      request: FastifyRequest,
      reply: FastifyReply,
      connection: SsoConnectionRecord,
      landing: string,
      answer: SsoAnswer,
    ) => {
      const signedIn = await admission.admit(connection, answer, request.id)
      const proof = { ...answer.account, client: 'browser' as const }
      return finishSignIn(services, request, reply, signedIn, proof, { sessionId: ids('session'), landing })
    }

    const report = async (
      request: FastifyRequest,
      reply: FastifyReply,
      connection: SsoConnectionRecord,
      trialBy: TrialOf,
      answer: () => Promise<SsoAnswer>,
    ) => {
      const trial = await tried(connection, answer)
      await sso.recordTrial(trialBy, outcomeOf(trial), request.id)
      return wantsHtml(request) ? sendPage(reply, trialPage(connection, trial)) : reply.send(trialReport(trial))
    }

    app.get(
      '/auth/sso/:connection/callback',
      { config: { public: true }, schema: { hide: true, params: connectionParam } },
      async (request, reply) => {
        const { connection: id } = request.params
        const { secrets, trial, returnTo: landing } = await opened(request, reply, id)
        if (!('oidc' in secrets)) throw new OmiumError('sign_in_expired', 'begin again')
        const connection = await connections.get(id)
        const answered = new URL(ssoRedirectUri(publicUrl, id))
        answered.search = new URL(request.url, publicUrl).search
        const answer = () => connections.finishOidc(connection, answered, secrets.oidc)
        if (trial) return report(request, reply, connection, trial, answer)
        return complete(request, reply, connection, landing, await answer())
      },
    )

    app.get(
      '/auth/saml/:connection/metadata',
      { config: { public: true }, schema: { hide: true, params: connectionParam } },
      async (request, reply) => {
        const metadata = await connections.metadata(await connections.get(request.params.connection))
        return reply.type('application/samlmetadata+xml; charset=utf-8').send(metadata)
      },
    )

    app.post(
      '/auth/saml/:connection/acs',
      {
        config: { public: true },
        bodyLimit: responseBytes,
        schema: { hide: true, params: connectionParam, body: samlAnswer },
      },
      async (request, reply) => {
        const { connection: id } = request.params
        const { SAMLResponse: response, bounced } = request.body
        const cookie = cookies.read(request.headers.cookie, 'sso')
        if (!cookie && !bounced)
          return reply
            .header('content-security-policy', bouncePolicy)
            .type('text/html; charset=utf-8')
            .send(bouncePage(`/auth/saml/${id}/acs`, response))
        const connection = await connections.get(id)
        const { settings } = connection
        if (!cookie && isUnsolicited(response)) {
          await countSsoAttempt(services, request)
          if (settings.kind !== 'saml' || !settings.idpInitiated) throw samlRefused('unsolicited')
          const answer = await connections.finishSaml(connection, response, undefined)
          return complete(request, reply, connection, defaultReturnTo, answer)
        }
        const { secrets, trial, returnTo: landing } = await opened(request, reply, id)
        if (!('saml' in secrets)) throw new OmiumError('sign_in_expired', 'begin again')
        const answer = () => connections.finishSaml(connection, response, secrets.saml.requestId)
        if (trial) return report(request, reply, connection, trial, answer)
        return complete(request, reply, connection, landing, await answer())
      },
    )
  }

/** What went wrong belongs into the report; what is wrong with the platform does not. */
const tried = async (connection: SsoConnectionRecord, answer: () => Promise<SsoAnswer>): Promise<Trial> => {
  try {
    const { account, attributes } = await answer()
    const issuer = connection.settings.kind === 'saml' ? connection.settings.entityId : connection.settings.issuer
    return { status: 'answered', verdict: judge(connection, { account, attributes }), attributes, issuer }
  } catch (error) {
    if (error instanceof OmiumError && error.code !== 'internal') return { status: 'refused', error }
    throw error
  }
}
