import { createHash } from 'node:crypto'
import { Client } from 'pg'

/** How API keys are stored and looked up: SHA-256 of the whole key. Sound because keys are random, never chosen. */
export const hashApiKey = (apiKey: string): Buffer => createHash('sha256').update(apiKey).digest()

export interface SeedTenantOptions {
  readonly tenant: string
  readonly name: string
  /** at least 20 characters; stored only as its hash */
  readonly apiKey: string
}

/** Makes sure that the tenant exists and that this API key opens it. Idempotent; other keys are left as they are. */
export const seedTenant = async (
  databaseUrl: string,
  { tenant, name, apiKey }: SeedTenantOptions,
): Promise<{ keyId: string }> => {
  if (apiKey.length < 20) throw new RangeError('an API key has at least 20 characters')
  const hash = hashApiKey(apiKey)
  const keyId = `key_${hash.toString('hex').slice(0, 16)}`
  const client = new Client({ connectionString: databaseUrl, application_name: 'omium-seed' })
  await client.connect()
  try {
    await client.query('INSERT INTO tenants (tenant, name) VALUES ($1, $2) ON CONFLICT DO NOTHING', [tenant, name])
    await client.query(
      `INSERT INTO api_keys (tenant, id, name, prefix, hash, scopes) VALUES ($1, $2, $3, $4, $5, '{*}')
       ON CONFLICT DO NOTHING`,
      [tenant, keyId, 'local', apiKey.slice(0, 12), hash],
    )
    return { keyId }
  } finally {
    await client.end()
  }
}
