import { randomBytes } from 'node:crypto'
import { emailAddress, isLoopback, OmiumError } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { magicLinkMs } from '../magic-links.ts'
import { requireSameOrigin } from '../origin.ts'
import { checkYourMailPage, signInPage } from '../pages/pages.ts'
import { toConnectionPage } from '../pages/sso-pages.ts'
import { checkReturnTo, returnToParam } from '../return-to.ts'
import type { SignInServices } from '../services.ts'
import { countAttempt, countSsoAttempt, finishSignIn, sendPage, wantsHtml } from './answers.ts'

const perAddress = { attempts: 5, withinMs: 10 * 60_000 }
const flag = z.stringbool().default(false)
const addressBody = z.object({ email: emailAddress, return_to: returnToParam, fresh: flag })
type AddressBody = z.infer<typeof addressBody>

/** The sign-in page: to the identity provider that an address belongs to, or a link by mail. */
export const magicLinkRoutes =
  (services: SignInServices): FastifyPluginAsyncZod =>
  async (app) => {
    const { publicUrl, magicLinks, cookies, limits, personalData, accounts, providers, sso, returnTo } = services
    const publicHost = new URL(publicUrl).host

    app.get(
      '/auth/sign-in',
      {
        config: { public: true },
        schema: {
          hide: true,
          querystring: z.object({ return_to: returnToParam, fresh: flag, by: z.literal('mail').optional() }),
        },
      },
      async (request, reply) => {
        // cookies belong to one host name: on `localhost` a sign-in would begin that ends on `127.0.0.1`
        if (isLoopback(publicUrl) && request.headers.host !== publicHost)
          return reply.redirect(new URL(request.url, publicUrl).href, 307)
        const { return_to, fresh, by } = request.query
        const html = signInPage({
          providers: [...providers.values()],
          byMail: by === 'mail' ? 'only' : 'any',
          returnTo: checkReturnTo(return_to, returnTo),
          fresh,
          passkeys: services.webAuthn !== undefined,
        })
        return sendPage(reply, html)
      },
    )
    const sendLink = async (request: FastifyRequest, reply: FastifyReply, { email, return_to }: AddressBody) => {
      if (!magicLinks)
        throw new OmiumError('not_found', 'nobody signs in by mail here, and this address has no other way')
      const landing = checkReturnTo(return_to, returnTo)
      await countAttempt(services, request)
      await limits.take(`address:${personalData.digest('email', email)}`, perAddress)
      const browser = cookies.read(request.headers.cookie, 'browser') || randomBytes(32).toString('base64url')
      await magicLinks.send({ email, returnTo: landing, browser, correlationId: request.id })
      cookies.set(reply, 'browser', browser, magicLinkMs)
      return wantsHtml(request)
        ? sendPage(reply, checkYourMailPage(isLoopback(publicUrl)))
        : reply.status(202).send({ status: 'sent' })
    }

    app.post(
      '/auth/sign-in',
      { config: { public: true }, schema: { hide: true, body: addressBody } },
      async (request, reply) => {
        const { email, return_to, fresh } = request.body
        requireSameOrigin(request.headers, publicUrl)
        const landing = checkReturnTo(return_to, returnTo)
        await countSsoAttempt(services, request)
        // by the domain alone, so the answer says nothing about who is a user
        const connection = await sso.connections.ofAddress(email)
        if (connection === undefined) return sendLink(request, reply, request.body)
        const query = new URLSearchParams({ return_to: landing, ...(fresh && { fresh: 'true' }) })
        const path = `/auth/sso/${connection}/start?${query}`
        if (!wantsHtml(request)) return reply.send({ status: 'sso', url: new URL(path, publicUrl).href })
        const byMail = magicLinks && `/auth/sign-in?${new URLSearchParams({ by: 'mail', return_to: landing })}`
        return sendPage(reply, toConnectionPage(path, byMail))
      },
    )
    if (!magicLinks) return

    app.post(
      '/auth/magic-links',
      { config: { public: true, limit: 'sensitive' }, schema: { hide: true, body: addressBody } },
      async (request, reply) => {
        requireSameOrigin(request.headers, publicUrl)
        return sendLink(request, reply, request.body)
      },
    )

    app.get(
      '/auth/magic-links/open',
      {
        config: { public: true, limit: 'sensitive' },
        schema: { hide: true, querystring: z.object({ token: z.string().max(4000) }) },
      },
      async (request, reply) => {
        await countAttempt(services, request)
        const browser = cookies.read(request.headers.cookie, 'browser')
        if (!browser)
          throw new OmiumError('magic_link_other_browser', 'open the link in the browser in which you asked for it')
        const {
          account,
          sessionId,
          returnTo: landing,
        } = await magicLinks.open(request.query.token, browser, request.id)
        const signedIn = await accounts.signIn(account, request.id)
        const proof = { ...account, client: 'browser' as const }
        return finishSignIn(services, request, reply, signedIn, proof, { sessionId, landing })
      },
    )
  }
