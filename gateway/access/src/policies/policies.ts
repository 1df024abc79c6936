import { Counter } from '@omium/kit'
import { type KeyEnvironment, OmiumError } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { Caller } from '../caller.ts'
import type { AccessRequest, Authorizer } from './authorizer.ts'

/** The installation's policies, asked about every request that has a caller. */
export interface Policies {
  /**
   * @param part of what the request opened, to be asked about by itself; absent: the request as its route says
   * @throws OmiumError `policy_denied`, whose data are the policies that decided (`policies`)
   */
  require(request: PolicedRequest, caller: Caller, part?: PolicedPart): void
  /** requests that were denied, by policy: for the registry of whoever asks */
  readonly denials: Counter<'policy' | 'reason'>
}

/** One thing of several that come over one connection. */
export interface PolicedPart {
  readonly action: AccessRequest['action']
  readonly kind: string
  readonly ids: readonly string[]
}

export interface PolicyOptions {
  /** of the installation */
  readonly environment: KeyEnvironment
  readonly nowMs: () => number
}

export type PolicedRequest = Pick<FastifyRequest, 'ip' | 'method' | 'params' | 'routeOptions'>

export const createPolicies = (authorizer: Authorizer, options: PolicyOptions): Policies => {
  const denials = new Counter({
    name: 'omium_policy_denials_total',
    help: 'Requests that policies denied, by policy; reason error: it could not be evaluated',
    labelNames: ['policy', 'reason'] as const,
    registers: [],
  })
  return {
    denials,
    require: (request, caller, part = partOf(request)) => {
      const decision = authorizer.decide(accessRequest(request, caller, part, options))
      if (decision.isAllowed) return
      const { policies, reason } = decision
      for (const policy of policies.length > 0 ? policies : ['']) denials.inc({ policy, reason })
      const names = policies.join(', ')
      const detail =
        reason === 'forbid'
          ? `the policy of this installation forbids it: ${names}`
          : `a policy of this installation cannot be evaluated, so it is refused: ${names || 'see the log'}`
      throw new OmiumError('policy_denied', detail, { data: { policies: [...policies] } })
    },
  }
}

const accessRequest = (
  { ip, method, routeOptions }: PolicedRequest,
  { tenant, id, actor, role, mfaAt, isService = false }: Caller,
  { action, kind, ids }: PolicedPart,
  { environment, nowMs }: PolicyOptions,
): AccessRequest => {
  const timeMs = nowMs()
  return {
    principal: { kind: actor.startsWith('user:') ? 'user' : 'key', id, tenant, role, isService },
    action,
    resource: { tenant, kind, ids },
    context: {
      ip,
      timeMs,
      mfaAgeMs: mfaAt === undefined ? undefined : Math.max(0, timeMs - mfaAt),
      environment,
      // a HEAD is answered by the route of the GET
      route: `${method === 'HEAD' ? 'GET' : method} ${routeOptions.url ?? ''}`,
    },
  }
}

/** What a request asks for, as its route says. */
const partOf = ({ params, routeOptions: { url = '', config } }: PolicedRequest): PolicedPart => {
  const { permission = 'authenticated' } = config
  return {
    // where one of several is enough, the first says what is done
    action: typeof permission === 'string' ? permission : (permission[0] ?? 'authenticated'),
    kind: kindOf(url),
    ids: Object.values((params ?? {}) as Record<string, string>),
  }
}

/** The part of a route's path before what it names: `executions` of `/v1/executions/:id/fork`. */
const kindOf = (url: string): string => url.replace(/^\/(v1\/)?/, '').replace(/\/?[:*].*$/, '')
