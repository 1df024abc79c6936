import { randomUUID } from 'node:crypto'
import type { EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs'
import type { AccessRequest, Authorizer, Decision } from './authorizer.ts'
import { readPolicies } from './reading.ts'

/**
 * Policies in Cedar.
 *
 * 1. One policy permits everything, since permissions were asked before; every other forbids, and one is enough.
 * 2. Cedar leaves out a policy whose evaluation fails. A `forbid` that is left out forbids nothing, so here such a failure denies.
 * 3. Policies are parsed once: a decision passes no text.
 */

/** no policy of a file can have this id */
const base = { '(permissions)': 'permit(principal, action, resource);' }

const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const

/**
 * @param where names the text in errors
 * @param onError of the evaluation: which policy failed, and how
 * @param preparsedPolicySetId under which Cedar keeps them for ever: whoever replaces policies names it, and the old ones are gone
 * @throws OmiumError `settings_invalid` with everything that is wrong
 */
export const createCedarAuthorizer = async (
  text: string,
  where: string,
  onError: (message: string, error: unknown) => void,
  preparsedPolicySetId: string = randomUUID(),
): Promise<Authorizer> => {
  // only who has policies pays for loading it
  const cedar = await import('@cedar-policy/cedar-wasm/nodejs')
  const staticPolicies = { ...base, ...readPolicies(cedar, text, where) }
  const parsed = cedar.preparsePolicySet(preparsedPolicySetId, { staticPolicies })
  if (parsed.type === 'failure') throw new RangeError(parsed.errors.map(({ message }) => message).join('; '))

  const ask = (request: AccessRequest): Decision => {
    const answer = cedar.statefulIsAuthorized({ ...callOf(request), preparsedPolicySetId })
    if (answer.type === 'failure') throw new RangeError(answer.errors.map(({ message }) => message).join('; '))
    const { decision, diagnostics } = answer.response
    const { reason, errors } = diagnostics
    for (const { policyId, error } of errors) onError(`the policy ${policyId} cannot be evaluated`, error)
    if (decision === 'allow' && errors.length === 0) return { isAllowed: true }
    const forbidding = decision === 'deny' ? reason : []
    return {
      isAllowed: false,
      policies: [...forbidding, ...errors.map(({ policyId }) => policyId)],
      reason: errors.length > 0 ? 'error' : 'forbid',
    }
  }
  return {
    decide: (request) => {
      try {
        return ask(request)
      } catch (error) {
        onError('policies cannot be asked about a request', error)
        return { isAllowed: false, policies: [], reason: 'error' }
      }
    },
  }
}

const callOf = ({ principal, action, resource, context }: AccessRequest) => {
  const tenant = (id: string): TypeAndId => ({ type: 'Tenant', id })
  const { isService, role } = principal
  const who: EntityJson = {
    uid: { type: principal.kind === 'user' ? 'User' : 'ApiKey', id: principal.id },
    attrs: { isService },
    parents: [tenant(principal.tenant), ...(role ? [{ type: 'Role', id: role }] : [])],
  }
  const { kind, ids } = resource
  const [id] = ids
  const what: EntityJson = {
    uid: { type: 'Resource', id: id === undefined ? kind : `${kind}/${id}` },
    attrs: { kind, ids: [...ids], ...(id !== undefined && { id }) },
    parents: [tenant(resource.tenant)],
  }
  const { ip, timeMs, mfaAgeMs, environment, route } = context
  const time = new Date(timeMs)
  return {
    principal: who.uid,
    action: { type: 'Action', id: action },
    resource: what.uid,
    entities: [who, what],
    context: {
      ip: { __extn: { fn: 'ip', arg: plainAddress(ip) } },
      timeMs,
      hour: time.getUTCHours(),
      weekday: weekdays[time.getUTCDay()] as string,
      ...(mfaAgeMs !== undefined && { mfaAgeMs }),
      environment,
      route,
    },
  }
}

/** Without the zone of a link, and IPv4 that came mapped into IPv6 as IPv4: Cedar takes neither. */
const plainAddress = (address: string): string => address.replace(/%.*$/, '').replace(/^::ffff:(?=[\d.]+$)/i, '')
