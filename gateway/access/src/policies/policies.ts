import { readFile } from 'node:fs/promises'
import { Counter } from '@omium/kit'
import { type KeyEnvironment, OmiumError } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { Caller } from '../caller.ts'
import type { AccessRequest, Authorizer } from './authorizer.ts'
import { createCedarAuthorizer } from './cedar.ts'

/** The installation's policies, asked about every request that has a caller. */
export interface Policies {
  /** @throws OmiumError `policy_denied`, whose data are the policies that decided (`policies`) */
  require(request: PolicedRequest, caller: Caller): void
  /** requests that were denied, by policy: for the registry of whoever asks */
  readonly denials: Counter<'policy' | 'reason'>
}

export interface PolicyOptions {
  /** of the installation */
  readonly environment: KeyEnvironment
  readonly nowMs: () => number
}

type PolicedRequest = Pick<FastifyRequest, 'ip' | 'method' | 'params' | 'routeOptions'>

/**
 * @param file with policies in Cedar; undefined: there are none, and nothing is loaded
 * @throws OmiumError `settings_invalid` with everything that is wrong
 */
export const openPolicies = async (
  file: string | undefined,
  { onError, ...options }: PolicyOptions & { readonly onError: (message: string, error: unknown) => void },
): Promise<Policies | undefined> => {
  if (file === undefined) return undefined
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new OmiumError('settings_invalid', `OMIUM_POLICIES_FILE: ${file} cannot be read`, { cause })
  })
  return createPolicies(await createCedarAuthorizer(text, file, onError), options)
}

export const createPolicies = (authorizer: Authorizer, options: PolicyOptions): Policies => {
  const denials = new Counter({
    name: 'omium_policy_denials_total',
    help: 'Requests that policies denied, by policy; reason error: it could not be evaluated',
    labelNames: ['policy', 'reason'] as const,
    registers: [],
  })
  return {
    denials,
    require: (request, caller) => {
      const decision = authorizer.decide(accessRequest(request, caller, options))
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
  { ip, method, params, routeOptions }: PolicedRequest,
  { tenant, id, actor, role, mfaAt, isService = false }: Caller,
  { environment, nowMs }: PolicyOptions,
): AccessRequest => {
  const { url = '', config } = routeOptions
  const { permission = 'authenticated' } = config
  const timeMs = nowMs()
  return {
    principal: { kind: actor.startsWith('user:') ? 'user' : 'key', id, tenant, role, isService },
    // where one of several is enough, the first says what is done
    action: typeof permission === 'string' ? permission : (permission[0] ?? 'authenticated'),
    resource: { tenant, kind: kindOf(url), ids: Object.values((params ?? {}) as Record<string, string>) },
    context: {
      ip,
      timeMs,
      mfaAgeMs: mfaAt === undefined ? undefined : Math.max(0, timeMs - mfaAt),
      environment,
      // a HEAD is answered by the route of the GET
      route: `${method === 'HEAD' ? 'GET' : method} ${url}`,
    },
  }
}

/** The part of a route's path before what it names: `executions` of `/v1/executions/:id/fork`. */
const kindOf = (url: string): string => url.replace(/^\/(v1\/)?/, '').replace(/\/?[:*].*$/, '')
