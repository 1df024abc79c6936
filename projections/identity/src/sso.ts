import { byTime, type Page, type Paging, type Reads } from '@omium/projection-kit'
import { domainOfAddress, type Role, type SsoConnection, type SsoRoleRule } from '@omium/schemas'

/** Connections to tenants' identity providers, and their domains. What is asked for without a tenant says so. */

export interface SsoConnectionRecord {
  readonly tenant: string
  readonly id: string
  readonly name: string
  readonly status: 'draft' | 'active' | 'disabled'
  readonly domains: readonly string[]
  readonly settings: SsoConnection['settings']
  readonly rules: readonly SsoRoleRule[]
  readonly defaultRole: Role | null
  readonly createdAt: Date
  readonly changedAt: Date
  readonly testedAt: Date | null
  readonly testOutcome: string | null
  /** those of `domains` that belong to the tenant, by now */
  readonly ownDomains: readonly string[]
}

const columns = `c.tenant, c.id, c.name, c.status, c.domains, c.settings, c.rules, c.default_role AS "defaultRole",
  c.created_at AS "createdAt", c.changed_at AS "changedAt", c.tested_at AS "testedAt", c.test_outcome AS "testOutcome",
  ARRAY(SELECT d.domain FROM identity.domains d WHERE d.tenant = c.tenant AND d.domain = ANY(c.domains)
    AND d.status IN ('verified', 'missing')) AS "ownDomains"`

export const getSsoConnection = async (
  reads: Reads,
  tenant: string,
  id: string,
): Promise<SsoConnectionRecord | undefined> => {
  const { rows } = await reads.query<SsoConnectionRecord>(
    { tenant },
    `SELECT ${columns} FROM identity.sso_connections c WHERE c.tenant = $1 AND c.id = $2`,
    [tenant, id],
  )
  return rows[0]
}

/** Newest first. @throws OmiumError `invalid_request` for a cursor that this list never gave */
export const listSsoConnections = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: Paging,
): Promise<Page<SsoConnectionRecord>> => {
  const [at, id] = byTime.after(cursor) ?? [null, null]
  const { rows } = await reads.query<SsoConnectionRecord>(
    { tenant },
    `SELECT ${columns} FROM identity.sso_connections c
     WHERE c.tenant = $1 AND ($2::timestamptz IS NULL OR (c.created_at, c.id) < ($2, $3))
     ORDER BY c.created_at DESC, c.id DESC LIMIT $4`,
    [tenant, at, id, limit + 1],
  )
  return byTime.page(rows, limit, (row) => [row.createdAt, row.id])
}

/** Of whichever tenant: for somebody who signs in, or comes back from the identity provider. */
export const ssoConnectionById = async (reads: Reads, id: string): Promise<SsoConnectionRecord | undefined> => {
  const { rows } = await reads.query<{ tenant: string }>({}, 'SELECT tenant FROM access.tenant_of_sso_connection($1)', [
    id,
  ])
  return rows[0] && getSsoConnection(reads, rows[0].tenant, id)
}

/** The active connection that signs in people with addresses of a domain, of whichever tenant has it. */
export const ssoConnectionOfDomain = async (reads: Reads, domain: string): Promise<string | undefined> => {
  const { rows } = await reads.query<{ id: string }>(
    {},
    'SELECT id FROM access.sso_connections_of_domain($1) ORDER BY id LIMIT 1',
    [domain],
  )
  return rows[0]?.id
}

/** What a tenant that demands its own sign-in holds a member to. */
export interface SsoDemand {
  /** active ones: a session that came through any of them will do */
  readonly connections: readonly string[]
}

interface DemandRow {
  readonly email: string | null
  readonly domains: readonly string[]
  readonly connections: readonly string[]
}

/**
 * Whether a member has to come through a connection of the tenant; undefined: they need not.
 * @param open unseals an address; without it everybody has to
 */
export const ssoDemandOn = async (
  reads: Reads,
  tenant: string,
  userId: string,
  open: ((sealed: string) => Promise<string | undefined>) | undefined,
): Promise<SsoDemand | undefined> => {
  const { rows } = await reads.query<DemandRow>(
    { tenant },
    {
      name: 'sso-demand',
      text: `SELECT u.email,
             ARRAY(SELECT d.domain FROM identity.domains d
               WHERE d.tenant = t.tenant AND d.status IN ('verified', 'missing')) AS domains,
             ARRAY(SELECT c.id FROM identity.sso_connections c
               WHERE c.tenant = t.tenant AND c.status = 'active') AS connections
           FROM identity.tenants t LEFT JOIN identity.users u ON u.id = $2 AND u.erased_at IS NULL
           WHERE t.tenant = $1 AND t.sso_required`,
      values: [tenant, userId],
    },
  )
  const [row] = rows
  if (!row?.email || row.domains.length === 0) return undefined
  if (!open) return { connections: row.connections }
  const email = await open(row.email)
  if (email === undefined || !row.domains.includes(domainOfAddress(email))) return undefined
  return { connections: row.connections }
}

export const ssoIsRequired = async (reads: Reads, tenant: string): Promise<boolean> => {
  const { rows } = await reads.query<{ required: boolean }>(
    { tenant },
    'SELECT sso_required AS required FROM identity.tenants WHERE tenant = $1',
    [tenant],
  )
  return rows[0]?.required ?? false
}

export interface DomainRecord {
  readonly tenant: string
  readonly domain: string
  readonly token: string
  readonly status: 'pending' | 'verified' | 'missing' | 'lapsed'
  readonly claimedAt: Date
  readonly verifiedAt: Date | null
  readonly missingSince: Date | null
}

const domainColumns = `tenant, domain, token, status, claimed_at AS "claimedAt", verified_at AS "verifiedAt",
  missing_since AS "missingSince"`

export const getDomain = async (reads: Reads, tenant: string, domain: string): Promise<DomainRecord | undefined> => {
  const { rows } = await reads.query<DomainRecord>(
    { tenant },
    `SELECT ${domainColumns} FROM identity.domains WHERE tenant = $1 AND domain = $2`,
    [tenant, domain],
  )
  return rows[0]
}

/** Newest claim first. @throws OmiumError `invalid_request` for a cursor that this list never gave */
export const listDomains = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: Paging,
): Promise<Page<DomainRecord>> => {
  const [at, id] = byTime.after(cursor) ?? [null, null]
  const { rows } = await reads.query<DomainRecord>(
    { tenant },
    `SELECT ${domainColumns} FROM identity.domains
     WHERE tenant = $1 AND ($2::timestamptz IS NULL OR (claimed_at, domain) < ($2, $3))
     ORDER BY claimed_at DESC, domain DESC LIMIT $4`,
    [tenant, at, id, limit + 1],
  )
  return byTime.page(rows, limit, (row) => [row.claimedAt, row.domain])
}
