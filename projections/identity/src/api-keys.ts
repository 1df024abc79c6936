import { byTime, type Page, type Reads } from '@omium/projection-kit'
import type { AccessHours, Permission } from '@omium/schemas'

export interface ApiKeyRecord {
  readonly tenant: string
  readonly id: string
  readonly name: string
  readonly environment: 'live' | 'test'
  readonly prefix: string
  readonly permissions: readonly Permission[]
  readonly workflows: readonly string[] | null
  readonly agents: readonly string[] | null
  /** the key's own, CIDR; empty: any */
  readonly ranges: readonly string[]
  /** when it may be used; empty: at any time */
  readonly hours: AccessHours
  readonly createdBy: string
  readonly createdAt: Date
  /** its own expiry, or the end of the overlap with its successor */
  readonly expiresAt: Date | null
  readonly replaces: string | null
  readonly successor: string | null
  readonly revokedAt: Date | null
  readonly lastUsedAt: Date | null
}

const columns = `k.tenant, k.id, k.name, k.environment, k.prefix, k.permissions, k.workflows, k.agents, k.ranges, k.hours,
  k.created_by AS "createdBy", k.created_at AS "createdAt", k.expires_at AS "expiresAt", k.replaces, k.successor,
  k.revoked_at AS "revokedAt"`

/** What a key is recognised by, beside what it may do. */
export interface ApiKeyEntry extends Omit<ApiKeyRecord, 'lastUsedAt'> {
  readonly digest: string
  readonly pepper: number
  /** of its tenant */
  readonly tenantRanges: readonly string[]
  readonly tenantHours: AccessHours
}

/**
 * The one look-up that happens before the tenant is known. Ids are random and made by the platform; should two tenants have
 * the same one, both come, and the digest decides.
 */
export const apiKeysById = async (reads: Reads, id: string): Promise<readonly ApiKeyEntry[]> => {
  const { rows: tenants } = await reads.query<{ tenant: string }>(
    {},
    {
      name: 'api-key-tenants',
      text: 'SELECT tenant FROM access.tenants_of_api_key($1)',
      values: [id],
    },
  )
  // nobody's key is looked for as well, so that the time it takes does not tell which ids there are
  const asked = tenants.length > 0 ? tenants : [{ tenant: '' }]
  const found = await Promise.all(
    asked.map(({ tenant }) =>
      reads.query<ApiKeyEntry>(
        { tenant },
        {
          name: 'api-key-by-id',
          text: `SELECT ${columns}, k.digest, k.pepper, t.ranges AS "tenantRanges", t.hours AS "tenantHours"
               FROM identity.api_keys k JOIN identity.tenants t USING (tenant) WHERE k.tenant = $1 AND k.id = $2`,
          values: [tenant, id],
        },
      ),
    ),
  )
  return tenants.length > 0 ? found.flatMap(({ rows }) => rows) : []
}

const withUse = `SELECT ${columns}, u.used_at AS "lastUsedAt"
  FROM identity.api_keys k LEFT JOIN api_key_uses u ON u.tenant = k.tenant AND u.id = k.id`

export const getApiKey = async (reads: Reads, tenant: string, id: string): Promise<ApiKeyRecord | undefined> => {
  const { rows } = await reads.query<ApiKeyRecord>({ tenant }, `${withUse} WHERE k.tenant = $1 AND k.id = $2`, [
    tenant,
    id,
  ])
  return rows[0]
}

/** Newest first, revoked and expired ones too. @throws OmiumError `invalid_request` for a foreign cursor */
export const listApiKeys = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<Page<ApiKeyRecord>> => {
  const [at, id] = byTime.after(cursor) ?? [null, null]
  const { rows } = await reads.query<ApiKeyRecord>(
    { tenant },
    `${withUse} WHERE k.tenant = $1 AND ($2::timestamptz IS NULL OR (k.created_at, k.id) < ($2, $3))
     ORDER BY k.created_at DESC, k.id DESC LIMIT $4`,
    [tenant, at, id, limit + 1],
  )
  return byTime.page(rows, limit, (row) => [row.createdAt, row.id])
}

/** Informational: nobody waits for it. */
export const noteApiKeyUse = async (reads: Reads, tenant: string, id: string): Promise<void> => {
  await reads.query(
    { tenant },
    `INSERT INTO api_key_uses (tenant, id, used_at) VALUES ($1, $2, now())
     ON CONFLICT (tenant, id) DO UPDATE SET used_at = excluded.used_at`,
    [tenant, id],
  )
}
