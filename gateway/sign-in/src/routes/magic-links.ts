import { randomBytes } from 'node:crypto'
import { emailAddress, OmiumError } from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { isLoopback } from '../loopback.ts'
import { magicLinkMs } from '../magic-links.ts'
import { requireSameOrigin } from '../origin.ts'
import { checkYourMailPage, signInPage } from '../pages/pages.ts'
import { checkReturnTo, returnToParam } from '../return-to.ts'
import type { SignInServices } from '../services.ts'
import { countAttempt, finishSignIn, sendPage, wantsHtml } from './answers.ts'

const perAddress = { attempts: 5, withinMs: 10 * 60_000 }
const flag = z.stringbool().default(false)

/** The sign-in page, and links by mail. */
export const magicLinkRoutes =
  (services: SignInServices): FastifyPluginAsyncZod =>
  async (app) => {
    const { publicUrl, magicLinks, cookies, limits, personalData, accounts, providers, returnTo } = services
    const publicHost = new URL(publicUrl).host

    app.get(
      '/auth/sign-in',
      {
        config: { public: true },
        schema: { hide: true, querystring: z.object({ return_to: returnToParam, fresh: flag }) },
      },
      async (request, reply) => {
        // cookies belong to one host name: on `localhost` a sign-in would begin that ends on `127.0.0.1`
        if (isLoopback(publicUrl) && request.headers.host !== publicHost)
          return reply.redirect(new URL(request.url, publicUrl).href, 307)
        const { return_to, fresh } = request.query
        const html = signInPage({
          providers: [...providers.values()],
          byMail: magicLinks !== undefined,
          returnTo: checkReturnTo(return_to, returnTo),
          fresh,
          passkeys: services.webAuthn !== undefined,
        })
        return sendPage(reply, html)
      },
    )
    if (!magicLinks) return

    app.post(
      '/auth/magic-links',
      {
        config: { public: true, limit: 'sensitive' },
        schema: { hide: true, body: z.object({ email: emailAddress, return_to: returnToParam }) },
      },
      async (request, reply) => {
        requireSameOrigin(request.headers, publicUrl)
        const { email, return_to } = request.body
        const landing = checkReturnTo(return_to, returnTo)
        await countAttempt(services, request)
        await limits.take(`address:${personalData.digest('email', email)}`, perAddress)
        const browser = cookies.read(request.headers.cookie, 'browser') || randomBytes(32).toString('base64url')
        await magicLinks.send({ email, returnTo: landing, browser, correlationId: request.id })
        cookies.set(reply, 'browser', browser, magicLinkMs)
        return wantsHtml(request) ? sendPage(reply, checkYourMailPage()) : reply.status(202).send({ status: 'sent' })
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
