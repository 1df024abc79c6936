import { logSettings, openCommandSender, openLog } from '@omium/log'
import {
  aggregateKey,
  hashApiKey,
  type IdentityContextCommand,
  identityContext,
  parseApiKey,
  peppersOf,
  permissions,
  readSettings,
} from '@omium/schemas'
import { eventually } from './eventually.ts'
import { newApiKey } from './secrets.ts'

/**
 * Founds another tenant on a running platform, through commands on its log like everybody does.
 * @param env of the stack
 * @returns a key of it that may do everything, and works already
 */
export const foundTenant = async (env: Record<string, string>, tenant: string): Promise<string> => {
  const apiKey = newApiKey()
  const parts = parseApiKey(apiKey)
  if (!parts) throw new RangeError('a new key cannot be parsed')
  const { keyId, environment, prefix } = parts
  const { OMIUM_KEY_PEPPERS: peppers, OMIUM_URL: url } = readSettings(env, ['OMIUM_KEY_PEPPERS', 'OMIUM_URL'])
  const log = await openLog(readSettings(env, logSettings), {
    definition: identityContext,
    clientId: 'found-tenant',
    onNotice: () => undefined,
  })
  const sender = await openCommandSender(log)
  const send = (aggregate: string, { type, data }: IdentityContextCommand) =>
    sender.send({
      id: log.ids('command'),
      type,
      data,
      aggregate,
      tenant,
      actor: 'system',
      correlationId: 'spec',
    })
  try {
    await send(aggregateKey('tenant', tenant, tenant), { type: 'FoundTenant', data: { name: tenant } })
    const hash = hashApiKey(apiKey, peppersOf(peppers))
    const data = { name: 'spec', environment, prefix, hash, scopes: { permissions: [...permissions] } }
    await send(aggregateKey('api_key', tenant, keyId), { type: 'IssueApiKey', data })
    await eventually(
      async () => {
        const { status } = await fetch(`${url}/v1/me`, { headers: { authorization: `Bearer ${apiKey}` } })
        if (status !== 200) throw new Error(`the key of ${tenant} is answered with ${status}`)
      },
      { timeoutMs: 60_000 },
    )
    return apiKey
  } finally {
    await sender.close()
    await log.transport.close()
  }
}
