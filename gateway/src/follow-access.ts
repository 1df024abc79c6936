import type { ApiKeys, EndedSessions, Members } from '@omium/access'
import type { AcceptedEvent } from '@omium/log'
import { parseAggregateKey } from '@omium/schemas'
import type { GatewayContext } from './context.ts'

/** a read model that is further behind than this is asked in any case, when what is remembered has had its time */
const patienceMs = 30_000

/**
 * What the log says about keys and roles takes effect here at once, without Redis: what is remembered is forgotten, and again
 * once the read model has the change, since it may have been asked in between. A revoked key and an ended session are refused
 * whatever it says, and also while it is away.
 */
export const followAccess = (
  { live, positions }: Pick<GatewayContext, 'live' | 'positions'>,
  { apiKeys, members, ended }: { apiKeys: ApiKeys; members: Members; ended: EndedSessions },
): void => {
  const forget = ({ partition, offset }: AcceptedEvent, now: () => void): void => {
    now()
    positions.reached(partition, offset, patienceMs).then(now, now)
  }
  const idOf = ({ envelope }: AcceptedEvent): string => parseAggregateKey(envelope.aggregate)?.id ?? ''
  live.onType('ApiKeyRevoked', (event) => apiKeys.revoked(event.envelope.tenant, idOf(event)))
  for (const type of ['ApiKeyIssued', 'ApiKeyReplaced'])
    live.onType(type, (event) => forget(event, () => apiKeys.changed(idOf(event))))
  for (const type of ['MemberAdded', 'MemberRoleChanged', 'MemberRemoved'])
    live.onType(type, (event) => {
      const { userId } = event.data as { userId: string }
      forget(event, () => members.changed(event.envelope.tenant, userId))
    })
  for (const type of ['AddressesAllowed', 'HoursAllowed'])
    live.onType(type, (event) =>
      forget(event, () => {
        apiKeys.tenantChanged(event.envelope.tenant)
        members.tenantChanged(event.envelope.tenant)
      }),
    )
  live.onType('SessionEnded', ({ data }) => ended.add((data as { sessionId: string }).sessionId))
  for (const type of ['FactorAdded', 'FactorRemoved'])
    live.onType(type, (event) => forget(event, () => members.factorsChanged(idOf(event))))
}
