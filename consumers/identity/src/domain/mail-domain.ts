import { type DomainCommand, type DomainEvent, isPublicMailDomain } from '@omium/schemas'
import { type Asked, type Decision, decided, refused } from './decision.ts'
import { held } from './held.ts'

/**
 * A mail domain, and whose it is.
 *
 * 1. Any tenant may claim it: a claim alone gives nothing and takes nothing from anybody. It belongs to the first that shows,
 *    by the token of its own claim in the domain's DNS, that it controls it; to one at a time.
 * 2. A record that is gone is no proof any more, but an accident of an hour must lock nobody out: the domain goes on for a
 *    grace, then lapses. What cannot be asked is not gone.
 * 3. Public mail domains are nobody's.
 */
export interface DomainState {
  readonly correlationId: string
  /** tokens by tenant */
  readonly claims: Record<string, string>
  owner: { readonly tenant: string; missingSince: number | undefined } | undefined
}

export const mostClaims = 100

/** Changes the state that it is given. */
export const evolveDomain = (
  before: DomainState | undefined,
  { type, data }: DomainEvent,
  correlationId: string,
): DomainState => {
  const state = before ?? { correlationId, claims: {}, owner: undefined }
  switch (type) {
    case 'DomainClaimed':
      state.claims[data.tenant] = data.token
      break
    case 'DomainVerified':
      state.owner = { tenant: data.tenant, missingSince: undefined }
      break
    case 'DomainRecordMissed':
      if (state.owner) state.owner.missingSince = data.at
      break
    case 'DomainRecordFound':
      if (state.owner) state.owner.missingSince = undefined
      break
    case 'DomainLapsed':
      state.owner = undefined
      break
    case 'DomainReleased':
      delete state.claims[data.tenant]
      if (state.owner?.tenant === data.tenant) state.owner = undefined
      break
  }
  return state
}

export const decideDomain = (
  state: DomainState | undefined,
  { type, data }: DomainCommand,
  domain: string,
  { actor: by }: Asked,
): Decision<DomainEvent> => {
  const { tenant } = data
  const token = state && held(state.claims, tenant)
  if (type === 'ClaimDomain') {
    if (isPublicMailDomain(domain))
      return refused('domain_refused', `${domain} belongs to a mail service that is open to everybody`)
    if (token !== undefined) return decided()
    if (Object.keys(state?.claims ?? {}).length >= mostClaims)
      return refused('domain_refused', `${domain} is claimed by too many: ask the operator`)
    return decided({ type: 'DomainClaimed', data: { ...data, by } })
  }
  if (token === undefined) return refused('domain_unknown', `claim ${domain} first`)
  if (type === 'ReleaseDomain') return decided({ type: 'DomainReleased', data: { tenant, by } })
  if (token !== data.token) return refused('domain_unverified', `the record of ${domain} is of another claim`)
  if (!state?.owner) return decided({ type: 'DomainVerified', data: { tenant, by } })
  if (state.owner.tenant !== tenant) return refused('domain_taken', `${domain} belongs to another tenant`)
  return state.owner.missingSince === undefined ? decided() : decided({ type: 'DomainRecordFound', data: { tenant } })
}

/**
 * What follows from another look at the domain's records.
 * @param isThere whether one of its TXT records holds this token
 */
export const watchDomain = (
  { claims, owner }: DomainState,
  isThere: (token: string) => boolean,
  nowMs: number,
  graceMs: number,
): readonly DomainEvent[] => {
  if (!owner) return []
  const { tenant, missingSince } = owner
  if (isThere(claims[tenant] ?? ''))
    return missingSince === undefined ? [] : [{ type: 'DomainRecordFound', data: { tenant } }]
  if (missingSince === undefined) return [{ type: 'DomainRecordMissed', data: { tenant, at: nowMs } }]
  return nowMs - missingSince >= graceMs ? [{ type: 'DomainLapsed', data: { tenant } }] : []
}
