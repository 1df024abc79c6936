import { setTimeout as delay } from 'node:timers/promises'
import { getApiKey } from '@omium/projection-identity'
import type { Reads } from '@omium/projection-kit'
import {
  aggregateKey,
  hashApiKey,
  type IdentityContextCommand,
  OmiumError,
  parseApiKey,
  permissions,
} from '@omium/schemas'
import { deterministicCommandId } from './commands.ts'
import type { GatewayContext } from './context.ts'
import type { Services } from './services.ts'

/** The tenant of a local stack. */
const tenant = 'ten_local'
/** a first start waits until the identity context is owned */
const patienceMs = 60_000
const pauseMs = 200

/**
 * Founds the local tenant and issues its key, through commands on the log like every other; when the key is there already,
 * nothing is sent. May run in several gateways, and again and again.
 * @throws OmiumError `settings_invalid`, `timeout` when nobody decides within a minute
 */
export const ensureLocalKey = async (
  apiKey: string,
  { identity, reads, newKeys }: { identity: GatewayContext; reads: Reads; newKeys: Services['newKeys'] },
): Promise<void> => {
  const parts = parseApiKey(apiKey)
  if (parts?.environment !== newKeys.environment)
    throw new OmiumError(
      'settings_invalid',
      `OMIUM_LOCAL_API_KEY: expected a key that begins with om_${newKeys.environment}_`,
    )
  const { keyId, environment, prefix } = parts
  const known = await getApiKey(reads, tenant, keyId)
  if (known) return
  const deadline = performance.now() + patienceMs
  const send = async (aggregate: string, command: IdentityContextCommand): Promise<void> => {
    const id = deterministicCommandId('local', aggregate, command.type)
    const asker = { tenant, actor: 'system', correlationId: id }
    for (;;) {
      try {
        await identity.execute(asker, aggregate, id, command)
        return await identity.untilCurrent(aggregate)
      } catch (error) {
        const again = error instanceof OmiumError && error.retryable && performance.now() < deadline
        if (!again) throw error
        await delay(pauseMs)
      }
    }
  }
  await send(aggregateKey('tenant', tenant, tenant), { type: 'FoundTenant', data: { name: 'Local' } })
  await send(aggregateKey('api_key', tenant, keyId), {
    type: 'IssueApiKey',
    data: {
      name: 'local',
      environment,
      prefix,
      hash: hashApiKey(apiKey, newKeys.peppers),
      scopes: { permissions: [...permissions] },
    },
  })
}
