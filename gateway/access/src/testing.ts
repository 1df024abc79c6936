import type { AcceptedEvent } from '@omium/log'
import { identityProjection } from '@omium/projection-identity'
import { createPool } from '@omium/projection-kit'
import {
  aggregateKey,
  permissions as allPermissions,
  hashApiKey,
  type IdentityContextEvent,
  type Permission,
  parseApiKey,
  peppersOf,
  readSettings,
} from '@omium/schemas'

/** For specs: tenants with an API key. */

type Environment = Readonly<Record<string, string | undefined>>

export interface TenantKey {
  readonly tenant: string
  readonly apiKey: string
  /** all when absent */
  readonly permissions?: readonly Permission[]
  readonly workflows?: readonly string[]
  readonly agents?: readonly string[]
}

const issued = (env: Environment, { apiKey, permissions = allPermissions, workflows, agents }: TenantKey) => {
  const parts = parseApiKey(apiKey)
  if (!parts) throw new RangeError('this is no API key')
  const { OMIUM_KEY_PEPPERS: peppers } = readSettings(env, ['OMIUM_KEY_PEPPERS'])
  const { keyId, environment, prefix } = parts
  const data = {
    name: 'spec',
    environment,
    prefix,
    hash: hashApiKey(apiKey, peppersOf(peppers)),
    scopes: {
      permissions: [...permissions],
      ...(workflows && { workflows: [...workflows] }),
      ...(agents && { agents: [...agents] }),
    },
  }
  return { keyId, data }
}

/**
 * Puts tenants with keys into the read model, through the projection's own code, for specs that are about something else and
 * run no identity context. @returns the keys' ids
 */
export const putTenants = async (
  databaseUrl: string,
  env: Environment,
  ...given: readonly TenantKey[]
): Promise<string[]> => {
  const pool = createPool(databaseUrl, { max: 1 })
  const client = await pool.connect()
  try {
    const { rows } = await client.query<{ tenant: string }>('SELECT tenant FROM identity.tenants')
    const known = new Set(rows.map(({ tenant }) => tenant))
    const events: AcceptedEvent[] = []
    const add = (tenant: string, aggregate: string, { type, data }: IdentityContextEvent) => {
      const envelope = {
        id: `evt_${events.length}`,
        type,
        schemaVersion: 1,
        tenant,
        aggregate,
        correlationId: 'spec',
        actor: 'system',
        time: Date.now(),
        version: 1,
        epoch: 1,
      }
      events.push({ envelope, type, data, partition: 0, offset: events.length })
    }
    const ids = given.map((one) => {
      const { tenant } = one
      if (!known.has(tenant))
        add(tenant, aggregateKey('tenant', tenant, tenant), {
          type: 'TenantFounded',
          data: { name: tenant, by: 'system' },
        })
      known.add(tenant)
      const { keyId, data } = issued(env, one)
      add(tenant, aggregateKey('api_key', tenant, keyId), { type: 'ApiKeyIssued', data: { ...data, by: 'system' } })
      return keyId
    })
    const deadLetter = (event: AcceptedEvent, code: string, detail: string) => {
      throw new Error(`${event.type}: ${code} ${detail}`)
    }
    await identityProjection.createApplier().apply(events, { client, schema: 'identity', deadLetter })
    return ids
  } finally {
    client.release()
    await pool.end()
  }
}
