import { byTime, type Page, type Paging, type Reads } from '@omium/projection-kit'
import type { AccessHours, Role } from '@omium/schemas'

/** What belongs to a tenant. Every function takes the tenant, and every statement has it in its WHERE clause. */

export interface TenantRecord {
  readonly tenant: string
  readonly name: string
  readonly ranges: readonly string[]
  readonly hours: AccessHours
  /** its people need a second factor */
  readonly mfaRequired: boolean
  readonly foundedAt: Date
}

export const getTenant = async (reads: Reads, tenant: string): Promise<TenantRecord | undefined> => {
  const { rows } = await reads.query<TenantRecord>(
    { tenant },
    `SELECT tenant, name, ranges, hours, mfa_required AS "mfaRequired", founded_at AS "foundedAt"
     FROM identity.tenants WHERE tenant = $1`,
    [tenant],
  )
  return rows[0]
}

export interface Membership {
  readonly role: Role
  /** of the tenant */
  readonly ranges: readonly string[]
  readonly hours: AccessHours
  /** the tenant demands a second factor */
  readonly mfaRequired: boolean
  /** members have to come through the tenant's own identity provider; see `ssoDemandOn` */
  readonly ssoRequired: boolean
}

/** What a user is in a tenant; undefined: no member. */
export const membershipIn = async (reads: Reads, tenant: string, userId: string): Promise<Membership | undefined> => {
  const { rows } = await reads.query<Membership>(
    { tenant },
    {
      name: 'membership',
      text: `SELECT m.role, t.ranges, t.hours, t.mfa_required AS "mfaRequired", t.sso_required AS "ssoRequired"
             FROM identity.memberships m JOIN identity.tenants t USING (tenant)
           WHERE m.tenant = $1 AND m.user_id = $2`,
      values: [tenant, userId],
    },
  )
  return rows[0]
}

export interface MemberRecord {
  readonly userId: string
  readonly role: Role
  readonly since: Date
  /** sealed; null when the user was erased */
  readonly email: string | null
  /** sealed */
  readonly name: string | null
}

/** The longest there first. @throws OmiumError `invalid_request` for a cursor that this list never gave */
export const listMembers = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: Paging,
): Promise<Page<MemberRecord>> => {
  const [at, id] = byTime.after(cursor) ?? [null, null]
  const { rows } = await reads.query<MemberRecord>(
    { tenant },
    `SELECT m.user_id AS "userId", m.role, m.since, u.email, u.name
     FROM identity.memberships m LEFT JOIN identity.users u ON u.id = m.user_id AND u.erased_at IS NULL
     WHERE m.tenant = $1 AND ($2::timestamptz IS NULL OR (m.since, m.user_id) > ($2, $3))
     ORDER BY m.since, m.user_id LIMIT $4`,
    [tenant, at, id, limit + 1],
  )
  return byTime.page(rows, limit, (row) => [row.since, row.userId])
}

export const getMember = async (reads: Reads, tenant: string, userId: string): Promise<MemberRecord | undefined> => {
  const { rows } = await reads.query<MemberRecord>(
    { tenant },
    `SELECT m.user_id AS "userId", m.role, m.since, u.email, u.name
     FROM identity.memberships m LEFT JOIN identity.users u ON u.id = m.user_id AND u.erased_at IS NULL
     WHERE m.tenant = $1 AND m.user_id = $2`,
    [tenant, userId],
  )
  return rows[0]
}

export interface InvitationRecord {
  readonly tenant: string
  readonly id: string
  /** digest */
  readonly address: string
  /** sealed */
  readonly email: string
  readonly role: Role
  readonly status: 'open' | 'accepted' | 'revoked'
  readonly invitedBy: string
  readonly invitedAt: Date
  readonly expiresAt: Date
}

const invitationColumns = `tenant, id, address, email, role, status, invited_by AS "invitedBy",
  invited_at AS "invitedAt", expires_at AS "expiresAt"`

/** Open ones, newest first; some may have expired. @throws OmiumError `invalid_request` for a foreign cursor */
export const listInvitations = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: Paging,
): Promise<Page<InvitationRecord>> => {
  const [at, id] = byTime.after(cursor) ?? [null, null]
  const { rows } = await reads.query<InvitationRecord>(
    { tenant },
    `SELECT ${invitationColumns} FROM identity.invitations
     WHERE tenant = $1 AND status = 'open' AND ($2::timestamptz IS NULL OR (invited_at, id) < ($2, $3))
     ORDER BY invited_at DESC, id DESC LIMIT $4`,
    [tenant, at, id, limit + 1],
  )
  return byTime.page(rows, limit, (row) => [row.invitedAt, row.id])
}

/** Open invitations of one address, to whichever tenants: for whoever has proved that it is theirs. */
export const invitationsOf = async (
  reads: Reads,
  address: string,
  now: Date,
): Promise<readonly (InvitationRecord & { readonly tenantName: string })[]> => {
  const { rows } = await reads.query<InvitationRecord & { tenantName: string }>(
    {},
    `SELECT ${invitationColumns}, tenant_name AS "tenantName" FROM access.invitations_of_address($1, $2)`,
    [address, now],
  )
  return rows
}
