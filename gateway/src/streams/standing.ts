import { type Caller, identify, type PolicedPart, requirePermission } from '@omium/access'
import { OmiumError } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import { callerOf } from '../auth.ts'
import type { Services } from '../services.ts'

/**
 * What lasts longer than a request is asked about again: whoever could not begin it any more cannot go on with it.
 *
 * 1. At each heartbeat, since keys expire and hours end without anybody saying so; at once when the log tells that rights have
 *    changed, or other policies are in force.
 * 2. Where rights have changed and what they are now cannot be found out, it ends as well: its reader resumes, and is answered
 *    like everybody.
 */

/** What is asked again: of a request, or what was kept of it. */
type LastingRequest = Pick<FastifyRequest, 'headers' | 'ip' | 'method' | 'params' | 'routeOptions'>

/**
 * @returns who it is now; undefined when that cannot be asked and nothing is known to have changed: it is asked again
 * @throws OmiumError that who asked would get now: 401, 403, or `unavailable` (2)
 */
export const askAgain = async (
  services: Pick<Services, 'apiKeys' | 'serviceTokens' | 'people' | 'policies'>,
  request: LastingRequest,
): Promise<Caller | undefined> => {
  try {
    const { headers, ip } = request
    const caller = await identify({ headers, ip, method: 'GET' }, services)
    requirePermission(caller, request.routeOptions.config.permission ?? 'authenticated')
    services.policies?.require(request, caller)
    return caller
  } catch (error) {
    if (error instanceof OmiumError) throw error
    return undefined
  }
}

/**
 * Whether they may have one thing of several that come over one connection.
 * @throws OmiumError `forbidden`, `policy_denied`
 */
export const requirePart = (
  { policies }: Pick<Services, 'policies'>,
  request: LastingRequest,
  caller: Caller,
  part: PolicedPart,
): void => {
  requirePermission(caller, part.action)
  policies?.require(request, caller, part)
}

/** Calls back when something was said that may end what this request began. @returns the way to stop */
export const watchStanding = (
  { rights, policies }: Pick<Services, 'rights' | 'policies'>,
  request: Pick<FastifyRequest, 'caller'>,
  onChanged: () => void,
): (() => void) => {
  const { tenant, id } = callerOf(request)
  const stops = [
    rights.onChanged((change) => {
      if (change.tenant === tenant || change.userId === id) onChanged()
    }),
    policies?.onChanged(onChanged),
  ]
  return () => {
    for (const stop of stops) stop?.()
  }
}
