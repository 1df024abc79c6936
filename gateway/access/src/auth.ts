import { OmiumError } from '@omium/schemas'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ApiKeys, Caller, Scope } from './api-keys.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** set on every route with a scope, before anything else runs */
    caller: Caller | null
  }
  interface FastifyContextConfig {
    /** what the API key must permit, any one of a list; a route without one is open to everybody */
    scope?: Scope | readonly Scope[]
  }
}

const bearer = /^Bearer +(om_[A-Za-z0-9_-]{16,200})$/i

/** Every route that has a scope needs `authorization: Bearer om_...` with a key that permits it. */
export const installAuth = (app: FastifyInstance, apiKeys: ApiKeys): void => {
  app.decorateRequest('caller', null)
  app.addHook('onRequest', async (request) => {
    const { scope } = request.routeOptions.config
    if (!scope) return
    const apiKey = bearer.exec(request.headers.authorization ?? '')?.[1]
    const caller = apiKey && (await apiKeys.lookup(apiKey))
    if (!caller) {
      throw new OmiumError('unauthenticated', 'send a valid API key as `authorization: Bearer om_...`')
    }
    const accepted: readonly string[] = typeof scope === 'string' ? [scope] : scope
    if (!caller.scopes.some((held) => held === '*' || accepted.includes(held))) {
      throw new OmiumError('forbidden', `this API key does not have the scope ${accepted.join(' or ')}`)
    }
    request.caller = caller
  })
}

/** The caller of a request to a route with a scope. */
export const callerOf = (request: FastifyRequest): Caller => {
  if (!request.caller) throw new OmiumError('unauthenticated', 'this route needs an API key')
  return request.caller
}
