import { OmiumError } from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Provider } from '../providers/provider.ts'
import { checkReturnTo, returnToParam } from '../return-to.ts'
import type { SignInServices } from '../services.ts'
import { countAttempt, finishSignIn } from './answers.ts'

/** how long a sign-in with a provider may take */
const transactionMs = 10 * 60_000
const providerParam = z.object({ provider: z.string().max(50) })

/** Sign-in with an identity provider: there, and back. */
export const providerRoutes =
  (services: SignInServices): FastifyPluginAsyncZod =>
  async (app) => {
    const { publicUrl, providers, transactions, cookies, accounts, ids, returnTo } = services

    const require = (id: string): Provider => {
      const provider = providers.get(id)
      if (!provider) throw new OmiumError('not_found', `there is no identity provider ${id}`)
      return provider
    }
    const redirectUriOf = ({ id }: Provider): string => `${publicUrl}/auth/providers/${id}/callback`

    app.get(
      '/auth/providers/:provider/start',
      {
        config: { public: true, limit: 'sensitive' },
        schema: {
          hide: true,
          params: providerParam,
          querystring: z.object({ return_to: returnToParam, fresh: z.stringbool().default(false) }),
        },
      },
      async (request, reply) => {
        const provider = require(request.params.provider)
        const { return_to, fresh } = request.query
        const landing = checkReturnTo(return_to, returnTo)
        await countAttempt(services, request)
        const { url, secrets } = await provider.begin(redirectUriOf(provider), fresh)
        const sealed = await transactions.seal({ ...secrets, provider: provider.id, returnTo: landing }, transactionMs)
        cookies.set(reply, 'provider', sealed, transactionMs)
        return reply.redirect(url.href, 303)
      },
    )

    app.get(
      '/auth/providers/:provider/callback',
      { config: { public: true, limit: 'sensitive' }, schema: { hide: true, params: providerParam } },
      async (request, reply) => {
        const provider = require(request.params.provider)
        await countAttempt(services, request)
        const transaction = await transactions.open(cookies.read(request.headers.cookie, 'provider') ?? '')
        // it ends here, whatever comes of it
        cookies.clear(reply, 'provider')
        // an answer of one provider is never taken for another's (mix-up, RFC 9700 4.4)
        if (transaction.provider !== provider.id)
          throw new OmiumError(
            'sign_in_expired',
            `the sign-in that is under way is not with ${provider.label}: begin again`,
          )
        const answer = new URL(redirectUriOf(provider))
        answer.search = new URL(request.url, publicUrl).search
        const account = await provider.finish(answer, transaction)
        const signedIn = await accounts.signIn(account, request.id)
        const proof = { ...account, client: 'browser' as const }
        const landing = transaction.returnTo
        return finishSignIn(services, request, reply, signedIn, proof, { sessionId: ids('session'), landing })
      },
    )
  }
