import { errorCatalogue, OmiumError } from '@omium/schemas'
import { type FastifyPluginAsyncZod, hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { errorPage } from './pages/pages.ts'
import { renewal } from './renewal.ts'
import { checkReturnTo, defaultReturnTo, factorsPath } from './return-to.ts'
import { sendPage, wantsHtml } from './routes/answers.ts'
import { deviceRoutes } from './routes/device.ts'
import { factorRoutes } from './routes/factors.ts'
import { magicLinkRoutes } from './routes/magic-links.ts'
import { providerRoutes } from './routes/providers.ts'
import { secondFactorRoutes } from './routes/second-factor.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { ssoRoutes } from './routes/sso.ts'
import type { SignInServices } from './services.ts'

/** Forms are small. */
const formBytes = 16 * 1024

/**
 * Everything under /auth and the published keys. Pages for browsers, JSON for programs; refusals of browsers' requests are pages
 * too, all others are left to the gateway's problem details.
 */
export const signInRoutes =
  (services: SignInServices): FastifyPluginAsyncZod =>
  async (app) => {
    app.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: formBytes },
      (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(body as string))),
    )
    app.addHook('onSend', async (_request, reply) => {
      // a page sends `Origin` only to whom its policy tells where it is
      reply.header('referrer-policy', 'same-origin')
      if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    })
    app.setErrorHandler((error, request, reply) => {
      const known = hasZodFastifySchemaValidationErrors(error)
        ? new OmiumError('invalid_request', error.message)
        : error instanceof OmiumError
          ? error
          : undefined
      if (known?.code === 'session_ended' || known?.code === 'refresh_reused')
        services.cookies.clear(reply, 'access', 'refresh')
      // thrown on: the gateway says it as problem details
      if (!known || !wantsHtml(request)) throw error
      // what was asked for is shown after signing in
      if (known.code === 'unauthenticated' && request.method === 'GET')
        return reply.redirect(`/auth/sign-in?return_to=${encodeURIComponent(landingOf(request.url, services))}`, 303)
      // the only pages that ask for more are those about factors
      if (known.code === 'step_up_required') return reply.redirect(stepUpPath(known), 303)
      const { title } = errorCatalogue[known.code]
      return sendPage(
        reply.status(known.status),
        errorPage(title, known.message, known.code, retryAt(request.url, known)),
      )
    })

    app.addHook('onRequest', renewal(services))

    app.get('/.well-known/jwks.json', { config: { public: true }, schema: { hide: true } }, async (_request, reply) => {
      reply.header('cache-control', 'public, max-age=300')
      return services.keys.published()
    })
    await app.register(magicLinkRoutes(services))
    await app.register(providerRoutes(services))
    await app.register(ssoRoutes(services))
    await app.register(secondFactorRoutes(services))
    await app.register(factorRoutes(services))
    await app.register(sessionRoutes(services))
    await app.register(deviceRoutes(services))
  }

/** @returns the page of a request where somebody may land after signing in, or where everybody does */
const landingOf = (url: string, { returnTo }: SignInServices): string => {
  try {
    return checkReturnTo(url, returnTo)
  } catch {
    return defaultReturnTo
  }
}

const stepUpPath = ({ data }: OmiumError): string => {
  const { accepts } = data as { accepts: string[] }
  return accepts.includes('sign_in')
    ? `/auth/sign-in?fresh=true&return_to=${factorsPath}`
    : `/auth/mfa?return_to=${factorsPath}`
}

/** A code that was mistyped is typed again. */
const retryAt = (url: string, { code }: OmiumError): string | undefined =>
  code.startsWith('factor_') ? ['/auth/mfa', factorsPath].find((path) => url.startsWith(path)) : undefined
