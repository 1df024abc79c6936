import type { AcceptedEvent } from '@omium/log'
import type { LiveContext } from '@omium/projection-kit'
import { type IdentityContextEvent, parseAggregateKey } from '@omium/schemas'
import type { ApiKeys } from './api-keys.ts'
import type { EndedSessions } from './caller.ts'
import type { Members } from './members.ts'
import type { Reached } from './remembered.ts'

/**
 * What the log says about rights takes effect here at once, without Redis, and while PostgreSQL or what fills it is away: what is
 * remembered is forgotten until the read model has the change. Revoked keys, ended sessions and removed members are refused
 * whatever it says.
 */

/** Whose rights are others now. */
export interface RightsChange {
  /** everybody's in it, keys and people */
  readonly tenant?: string
  readonly userId?: string
}

/** What remembers rights. */
interface Rememberers {
  readonly apiKeys: ApiKeys
  readonly members: Members
  readonly ended: EndedSessions
}

type Effect = (event: AcceptedEvent, rights: Rememberers, reached: Reached) => RightsChange

const idOf = ({ envelope }: AcceptedEvent): string => parseAggregateKey(envelope.aggregate)?.id ?? ''
const userOf = ({ data }: AcceptedEvent): string => (data as { userId: string }).userId

const keyChanged: Effect = (event, { apiKeys }, reached) => {
  apiKeys.changed(idOf(event), reached)
  return { tenant: event.envelope.tenant }
}
const memberChanged: Effect = (event, { members }, reached) => {
  members.changed(event.envelope.tenant, userOf(event), reached)
  return { tenant: event.envelope.tenant }
}
/** its people, not its keys */
const membersChanged: Effect = ({ envelope: { tenant } }, { members }, reached) => {
  members.tenantChanged(tenant, reached)
  return { tenant }
}
const tenantChanged: Effect = ({ envelope: { tenant } }, { apiKeys, members }, reached) => {
  apiKeys.tenantChanged(tenant, reached)
  members.tenantChanged(tenant, reached)
  return { tenant }
}
/** a domain belongs to the installation until it is somebody's */
const domainChanged: Effect = ({ data }, { members }, reached) => {
  const { tenant } = data as { tenant: string }
  members.tenantChanged(tenant, reached)
  return { tenant }
}
const factorsChanged: Effect = (event, { members }, reached) => {
  const userId = idOf(event)
  members.factorsChanged(userId, reached)
  return { userId }
}

/** What ends or changes a right, or gives one that somebody may be waiting for. */
export const effects = {
  ApiKeyIssued: keyChanged,
  ApiKeyReplaced: keyChanged,
  ApiKeyRevoked: (event, { apiKeys }) => {
    const { tenant } = event.envelope
    apiKeys.revoked(tenant, idOf(event))
    return { tenant }
  },
  MemberAdded: memberChanged,
  MemberRoleChanged: memberChanged,
  MemberRemoved: (event, { members }, reached) => {
    const { tenant } = event.envelope
    members.removed(tenant, userOf(event), reached)
    return { tenant }
  },
  AddressesAllowed: tenantChanged,
  HoursAllowed: tenantChanged,
  MfaRequirementChanged: membersChanged,
  SsoRequired: membersChanged,
  SsoConnectionActivated: membersChanged,
  SsoConnectionDisabled: membersChanged,
  SsoConnectionDeleted: membersChanged,
  DomainVerified: domainChanged,
  DomainLapsed: domainChanged,
  DomainReleased: domainChanged,
  FactorAdded: factorsChanged,
  FactorRemoved: factorsChanged,
  SessionEnded: (event, { ended }) => {
    ended.add((event.data as { sessionId: string }).sessionId)
    return { userId: idOf(event) }
  },
} satisfies { readonly [T in IdentityContextEvent['type']]?: Effect }

/** To be called before anything of the context is dispatched. */
export const followAccess = (
  { live, positions }: Pick<LiveContext, 'live' | 'positions'>,
  rights: Rememberers,
  onChanged: (change: RightsChange) => void,
): void => {
  for (const [type, effect] of Object.entries<Effect>(effects))
    live.onType(type, (event) => {
      const { partition, offset } = event
      onChanged(effect(event, rights, (timeoutMs) => positions.reached(partition, offset, timeoutMs)))
    })
}
