import type { ApiKeys, Members } from '@omium/access'
import type { AcceptedEvent } from '@omium/log'
import { parseAggregateKey } from '@omium/schemas'
import type { Live } from './live.ts'

/** What the log says about keys and roles takes effect here at once, however late the read model is, and without Redis. */
export const followAccess = (live: Live, { apiKeys, members }: { apiKeys: ApiKeys; members?: Members }): void => {
  const onKey =
    (change: (tenant: string, keyId: string) => void) =>
    ({ envelope }: AcceptedEvent) => {
      const key = parseAggregateKey(envelope.aggregate)
      if (key) change(key.tenant, key.id)
    }
  live.onType(
    'ApiKeyRevoked',
    onKey((tenant, keyId) => apiKeys.revoked(tenant, keyId)),
  )
  for (const type of ['ApiKeyIssued', 'ApiKeyReplaced'])
    live.onType(
      type,
      onKey((_tenant, keyId) => apiKeys.changed(keyId)),
    )
  if (!members) return
  for (const type of ['MemberAdded', 'MemberRoleChanged', 'MemberRemoved'])
    live.onType(type, ({ envelope, data }) => members.changed(envelope.tenant, (data as { userId: string }).userId))
}
