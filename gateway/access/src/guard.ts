import { OmiumError, type Permission } from '@omium/schemas'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ApiKeys } from './api-keys.ts'
import type { Caller, SessionCallers } from './caller.ts'
import type { Members } from './members.ts'
import type { Policies } from './policies/policies.ts'
import type { ServiceTokens } from './service-tokens.ts'

/**
 * Guards every route of a Fastify app.
 *
 * 1. Each route says what it needs: `permission` (any one of a list; `authenticated`: to be known at all) or `public: true`.
 *    One that says nothing cannot be added.
 * 2. Who asks is found out before anything else runs: an API key, a session, or a service token in the name of one of them.
 * 3. A key that is limited to workflows or agents passes only to routes that hold it to its limits (`limitedKeys`).
 * 4. What a permission allows, the installation's policies may forbid.
 * 5. What is sensitive (`stepUp`) asks a person for a fresh proof, after everything else is found to be in order. Keys have
 *    nothing more to prove.
 */
export type RoutePermission = Permission | 'authenticated'

declare module 'fastify' {
  interface FastifyRequest {
    /** set on every route that is not public, before anything else runs */
    caller: Caller | null
  }
  interface FastifyContextConfig {
    permission?: RoutePermission | readonly Permission[]
    /** open to everybody */
    public?: true
    /** how often it may be asked: `none`: for the machinery around the gateway; `sensitive`: what an attacker would try over and over */
    limit?: 'none' | 'sensitive'
    /** the route holds keys that are limited to workflows or agents to their limits, or reaches no runs */
    limitedKeys?: true
    /** people have to have proved lately who they are */
    stepUp?: true
  }
}

export interface GuardParts {
  readonly apiKeys: ApiKeys
  /** absent where the installation has none */
  readonly policies?: Policies | undefined
  /** absent where only keys come in */
  readonly serviceTokens?: ServiceTokens
  readonly people?: { readonly sessions: SessionCallers; readonly members: Members }
}

/** What a guarded app says about its routes. */
export interface RouteRule {
  readonly method: string
  readonly url: string
  readonly permission: RoutePermission | readonly Permission[] | undefined
  readonly limitedKeys: boolean
  readonly stepUp: boolean
  readonly limit: 'none' | 'sensitive' | undefined
}

const rules = new WeakMap<FastifyInstance, RouteRule[]>()

/** Every route that was added, in order, with what it needs (`permission` undefined: public). */
export const routeRules = (app: FastifyInstance): readonly RouteRule[] => rules.get(app) ?? []

const bearer = /^Bearer +(\S{1,8192})$/i

/** To be called before any route is added. */
export const installGuard = (app: FastifyInstance, parts: GuardParts): void => {
  const added: RouteRule[] = []
  rules.set(app, added)
  app.decorateRequest('caller', null)
  app.addHook('onRoute', ({ method, url, config }) => {
    const { permission, public: open, limitedKeys = false, stepUp = false, limit } = config ?? {}
    if ((permission === undefined) === (open === undefined))
      throw new RangeError(`${method} ${url} must say what it needs: a permission, or that it is public`)
    for (const one of [method].flat()) added.push({ method: one, url, permission, limitedKeys, stepUp, limit })
  })
  app.addHook('onRequest', async (request) => {
    const { permission, limitedKeys, stepUp } = request.routeOptions.config
    if (permission === undefined) return
    const caller = await identify(request, parts)
    if (caller.limits && !limitedKeys)
      throw new OmiumError('forbidden', 'this API key is limited to workflows or agents, and this reaches further')
    requirePermission(caller, permission)
    parts.policies?.require(request, caller)
    if (stepUp && caller.session) await parts.people?.members.requireFreshProof(caller.session)
    request.caller = caller
  })
}

/** @throws OmiumError `unauthenticated` and whatever else keeps them out */
export const identify = async (
  request: Pick<FastifyRequest, 'headers' | 'method' | 'ip'>,
  { apiKeys, serviceTokens, people }: GuardParts,
): Promise<Caller> => {
  const { headers, method, ip } = request
  const token = bearer.exec(headers.authorization ?? '')?.[1]
  if (token?.startsWith('om_')) {
    const caller = await apiKeys.lookup(token, ip)
    if (caller) return caller
    throw new OmiumError('unauthenticated', 'this API key is unknown, revoked or expired')
  }
  if (token && serviceTokens?.isOne(token)) return serviceTokens.lookup(token, ip)
  const session = await people?.sessions.callerOf(headers, method)
  if (session && people) return people.members.callerFor(session, ip)
  throw new OmiumError('unauthenticated', 'send a valid API key as `authorization: Bearer om_...`')
}

/** @throws OmiumError `forbidden` naming what is missing */
export const requirePermission = (
  { permissions }: Pick<Caller, 'permissions'>,
  needed: RoutePermission | readonly Permission[],
): void => {
  if (needed === 'authenticated') return
  const accepted: readonly Permission[] = typeof needed === 'string' ? [needed] : (needed as readonly Permission[])
  if (accepted.some((one) => permissions.has(one))) return
  throw new OmiumError('forbidden', `this needs the permission ${accepted.join(' or ')}`)
}

/** The caller of a request to a route that is not public. */
export const callerOf = (request: Pick<FastifyRequest, 'caller'>): Caller => {
  if (!request.caller) throw new OmiumError('unauthenticated', 'this route needs an API key or a session')
  return request.caller
}
