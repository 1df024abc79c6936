import { type Applier, applyEach, type Place } from '@omium/projection-kit'
import {
  type AddressEvent,
  type ApiKeyEvent,
  addressEvents,
  apiKeyEvents,
  type DeviceGrantEvent,
  type DomainEvent,
  deviceGrantEvents,
  domainEvents,
  type SsoConnection,
  type SsoConnectionEvent,
  ssoConnectionEvents,
  type TenantEvent,
  tenantEvents,
  type UserEvent,
  userEvents,
} from '@omium/schemas'

/** Writes accepted events of the identity context into its read models, a statement or two for each: they are few. */
export const createApplier = (): Applier =>
  applyEach(async (place, { type, data }) => {
    if (type in tenantEvents) await applyTenant(place, { type, data } as TenantEvent)
    else if (type in apiKeyEvents) await applyApiKey(place, { type, data } as ApiKeyEvent)
    else if (type in userEvents) await applyUser(place, { type, data } as UserEvent)
    else if (type in deviceGrantEvents) await applyDeviceGrant(place, { type, data } as DeviceGrantEvent)
    else if (type in ssoConnectionEvents) await applySsoConnection(place, { type, data } as SsoConnectionEvent)
    else if (type in domainEvents) await applyDomain(place, { type, data } as DomainEvent)
    else if (type in addressEvents) await applyAddress(place, { type, data } as AddressEvent)
  })

const time = (ms: number): string => new Date(ms).toISOString()

const applyAddress = async (place: Place, { type, data }: AddressEvent): Promise<void> => {
  if (type === 'AddressReleased') return place.run('DELETE FROM @addresses WHERE digest = $1', place.id)
  await place.run(
    'INSERT INTO @addresses (digest, user_id) VALUES ($1, $2) ON CONFLICT (digest) DO UPDATE SET user_id = $2',
    place.id,
    data.userId,
  )
}

const linkLogin = (place: Place, { method, issuer, subject }: { method: string; issuer: string; subject: string }) =>
  place.run(
    `INSERT INTO @logins (user_id, method, issuer, subject, linked_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING`,
    place.id,
    method,
    issuer,
    subject,
    place.at,
  )

const completeErasure = (place: Place, id: string) =>
  place.run('UPDATE @erasures SET completed_at = $3 WHERE tenant = $1 AND id = $2', place.tenant, id, place.at)

const applyUser = async (place: Place, { type, data }: UserEvent): Promise<void> => {
  switch (type) {
    case 'UserRegistered':
      await place.run(
        'INSERT INTO @users (id, address, email, name, tenant, registered_at) VALUES ($1, $2, $3, $4, $5, $6)',
        place.id,
        data.address,
        data.email,
        data.name ?? null,
        data.tenant?.id ?? null,
        place.at,
      )
      await linkLogin(place, data.login)
      break
    case 'LoginLinked':
      await linkLogin(place, data.login)
      break
    case 'LoginUnlinked':
      await place.run(
        'DELETE FROM @logins WHERE user_id = $1 AND method = $2 AND issuer = $3 AND subject = $4',
        place.id,
        data.login.method,
        data.login.issuer,
        data.login.subject,
      )
      break
    case 'UserRenamed':
      await place.run('UPDATE @users SET name = $2 WHERE id = $1', place.id, data.name)
      break
    case 'UserErased':
      await place.run('UPDATE @users SET erased_at = $2, email = NULL, name = NULL WHERE id = $1', place.id, place.at)
      for (const table of ['logins', 'factors', 'recovery_codes'])
        await place.run(`DELETE FROM @${table} WHERE user_id = $1`, place.id)
      await place.run(
        `INSERT INTO @erasures (tenant, id, user_id, requested_by, requested_at, memberships, invitations)
         VALUES ($1, $2, $2, $3, $4, 0, 0)`,
        place.tenant,
        place.id,
        data.by,
        place.at,
      )
      break
    case 'MembershipWithdrawn':
      await place.run(
        'UPDATE @erasures SET memberships = memberships + 1 WHERE tenant = $1 AND id = $2',
        place.tenant,
        place.id,
      )
      break
    case 'ErasureCompleted':
      await completeErasure(place, place.id)
      break
    case 'SessionStarted': {
      const { sessionId, tenant, login, amr, client, authenticatedAt, expiresAt } = data
      const { method, issuer, subject } = login
      await place.run(
        `INSERT INTO @sessions (id, user_id, tenant, method, issuer, subject, amr, client, authenticated_at, started_at,
           refreshed_at, expires_at, generation, mfa_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, 0, $12)`,
        sessionId,
        place.id,
        tenant,
        method,
        issuer,
        subject,
        amr,
        client,
        time(authenticatedAt),
        place.at,
        time(expiresAt),
        data.mfaAt === undefined ? null : time(data.mfaAt),
      )
      break
    }
    case 'SessionSteppedUp':
      await place.run(
        'UPDATE @sessions SET mfa_at = $3, amr = $4 WHERE id = $1 AND user_id = $2',
        data.sessionId,
        place.id,
        time(data.at),
        data.amr,
      )
      break
    case 'SessionRefreshed':
      await place.run(
        'UPDATE @sessions SET generation = $3, refreshed_at = $4 WHERE id = $1 AND user_id = $2',
        data.sessionId,
        place.id,
        data.generation,
        time(data.at),
      )
      break
    case 'SessionSwitched':
      await place.run(
        'UPDATE @sessions SET tenant = $3 WHERE id = $1 AND user_id = $2',
        data.sessionId,
        place.id,
        data.tenant,
      )
      break
    case 'SessionEnded':
      await place.run(
        'UPDATE @sessions SET ended_at = $3, ended_why = $4 WHERE id = $1 AND user_id = $2',
        data.sessionId,
        place.id,
        place.at,
        data.why,
      )
      break
    case 'FactorAdded':
      await place.run(
        `INSERT INTO @factors (user_id, id, kind, label, material, added_at) VALUES ($1, $2, $3, $4, $5, $6)`,
        place.id,
        data.factorId,
        data.kind,
        data.label,
        data.material,
        place.at,
      )
      break
    case 'FactorUsed':
      await onFactor(place, 'UPDATE @factors SET used_at = $3', data.factorId, time(data.at))
      break
    case 'FactorSuspected':
      await onFactor(place, 'UPDATE @factors SET suspected_at = $3', data.factorId, place.at)
      break
    case 'FactorRemoved':
      await onFactor(place, 'DELETE FROM @factors', data.factorId)
      // codes stand in for factors: without any there are none
      await place.run(
        'DELETE FROM @recovery_codes WHERE user_id = $1 AND NOT EXISTS (SELECT FROM @factors WHERE user_id = $1)',
        place.id,
      )
      break
    case 'RecoveryCodesIssued':
      await place.run('DELETE FROM @recovery_codes WHERE user_id = $1', place.id)
      await place.run('INSERT INTO @recovery_codes (user_id, code) SELECT $1, unnest($2::text[])', place.id, data.codes)
      break
    case 'RecoveryCodeUsed':
      await place.run('DELETE FROM @recovery_codes WHERE user_id = $1 AND code = $2', place.id, data.code)
      break
    case 'SecurityNoticeOwed':
    case 'SecurityNoticeSettled':
    case 'PersonalTenantRequested':
    case 'MembershipNoted':
      break
  }
}

const onFactor = (place: Place, change: string, factorId: string, ...values: readonly string[]) =>
  place.run(`${change} WHERE user_id = $1 AND id = $2`, place.id, factorId, ...values)

const addMember = (place: Place, userId: string, role: string) =>
  place.run(
    `INSERT INTO @memberships (tenant, user_id, role, since) VALUES ($1, $2, $3, $4)
     ON CONFLICT (tenant, user_id) DO UPDATE SET role = excluded.role`,
    place.tenant,
    userId,
    role,
    place.at,
  )

const closeInvitation = (place: Place, invitationId: string, status: 'accepted' | 'revoked') =>
  place.run('UPDATE @invitations SET status = $3 WHERE tenant = $1 AND id = $2', place.tenant, invitationId, status)

const applyTenant = async (place: Place, { type, data }: TenantEvent): Promise<void> => {
  switch (type) {
    case 'TenantFounded':
      await place.run(
        `INSERT INTO @tenants (tenant, name, ranges, mfa_required, founded_at) VALUES ($1, $2, '{}', false, $3)`,
        place.tenant,
        data.name,
        place.at,
      )
      if (data.owner !== undefined) await addMember(place, data.owner, 'owner')
      break
    case 'TenantRenamed':
      await place.run('UPDATE @tenants SET name = $2 WHERE tenant = $1', place.tenant, data.name)
      break
    case 'AddressesAllowed':
      await place.run('UPDATE @tenants SET ranges = $2 WHERE tenant = $1', place.tenant, data.ranges)
      break
    case 'HoursAllowed':
      await place.run('UPDATE @tenants SET hours = $2 WHERE tenant = $1', place.tenant, JSON.stringify(data.hours))
      break
    case 'SsoRequired':
      await place.run('UPDATE @tenants SET sso_required = $2 WHERE tenant = $1', place.tenant, data.required)
      break
    case 'MfaRequirementChanged':
      await place.run('UPDATE @tenants SET mfa_required = $2 WHERE tenant = $1', place.tenant, data.required)
      break
    case 'MemberInvited':
      await place.run(
        `INSERT INTO @invitations (tenant, id, address, email, role, status, invited_by, invited_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8)`,
        place.tenant,
        data.invitationId,
        data.address,
        data.email,
        data.role,
        data.by,
        place.at,
        time(data.expiresAt),
      )
      break
    case 'InvitationRevoked':
      await closeInvitation(place, data.invitationId, 'revoked')
      break
    case 'InvitationAccepted':
      await closeInvitation(place, data.invitationId, 'accepted')
      break
    case 'MemberAdded':
    case 'MemberRoleChanged':
      await addMember(place, data.userId, data.role)
      break
    case 'MemberRemoved':
      await place.run('DELETE FROM @memberships WHERE tenant = $1 AND user_id = $2', place.tenant, data.userId)
      break
    case 'MemberErased':
      await place.run(
        `INSERT INTO @erasures (tenant, id, user_id, requested_by, requested_at, completed_at, memberships, invitations)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
        place.tenant,
        data.erasureId,
        data.userId ?? null,
        data.by,
        place.at,
        data.address === undefined ? place.at : null,
        data.memberships,
        data.invitations,
      )
      break
    case 'MemberErasureCompleted':
      await completeErasure(place, data.erasureId)
      break
    case 'MemberAdditionReported':
    case 'MemberRemovalReported':
      break
  }
}

const applyApiKey = async (place: Place, { type, data }: ApiKeyEvent): Promise<void> => {
  switch (type) {
    case 'ApiKeyIssued':
      await place.run(
        `INSERT INTO @api_keys (tenant, id, name, environment, prefix, digest, pepper, permissions, workflows, agents,
           ranges, created_by, created_at, expires_at, replaces, hours)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
        place.tenant,
        place.id,
        data.name,
        data.environment,
        data.prefix,
        data.hash.digest,
        data.hash.pepper,
        data.scopes.permissions,
        data.scopes.workflows ?? null,
        data.scopes.agents ?? null,
        data.ranges ?? [],
        data.by,
        place.at,
        data.expiresAt === undefined ? null : time(data.expiresAt),
        data.replaces ?? null,
        JSON.stringify(data.hours ?? []),
      )
      break
    case 'ApiKeyReplaced':
      await place.run(
        'UPDATE @api_keys SET successor = $3, expires_at = $4 WHERE tenant = $1 AND id = $2',
        place.tenant,
        place.id,
        data.successor,
        time(data.until),
      )
      break
    case 'ApiKeyRevoked':
      await place.run(
        'UPDATE @api_keys SET revoked_at = $3, revoked_by = $4 WHERE tenant = $1 AND id = $2',
        place.tenant,
        place.id,
        place.at,
        data.by,
      )
      break
    case 'ApiKeyReported':
      break
  }
}

const putSsoConnection = (place: Place, { name, domains, settings, rules, defaultRole }: SsoConnection) =>
  place.run(
    `INSERT INTO @sso_connections (tenant, id, name, status, domains, settings, rules, default_role, created_at, changed_at)
     VALUES ($1, $2, $3, 'draft', $4, $5, $6, $7, $8, $8)
     ON CONFLICT (tenant, id) DO UPDATE SET name = $3, domains = $4, settings = $5, rules = $6, default_role = $7,
       changed_at = $8`,
    place.tenant,
    place.id,
    name,
    domains,
    JSON.stringify(settings),
    JSON.stringify(rules),
    defaultRole ?? null,
    place.at,
  )

const setStatus = (place: Place, status: 'active' | 'disabled') =>
  place.run('UPDATE @sso_connections SET status = $3 WHERE tenant = $1 AND id = $2', place.tenant, place.id, status)

const applySsoConnection = async (place: Place, { type, data }: SsoConnectionEvent): Promise<void> => {
  switch (type) {
    case 'SsoConnectionCreated':
    case 'SsoConnectionChanged':
      await putSsoConnection(place, data)
      break
    case 'SsoConnectionActivated':
      await setStatus(place, 'active')
      break
    case 'SsoConnectionDisabled':
      await setStatus(place, 'disabled')
      break
    case 'SsoConnectionDeleted':
      await place.run('DELETE FROM @sso_connections WHERE tenant = $1 AND id = $2', place.tenant, place.id)
      break
    case 'SsoConnectionTested':
      await place.run(
        'UPDATE @sso_connections SET tested_at = $3, test_outcome = $4 WHERE tenant = $1 AND id = $2',
        place.tenant,
        place.id,
        time(data.at),
        data.outcome,
      )
      break
    case 'AssertionTaken':
    case 'SsoSecretsDestroyed':
      break
  }
}

/** A domain is an aggregate of the platform; the events say which tenant they are about. */
const applyDomain = async (place: Place, { type, data }: DomainEvent): Promise<void> => {
  const { tenant } = data
  switch (type) {
    case 'DomainClaimed':
      await place.run(
        `INSERT INTO @domains (tenant, domain, token, status, claimed_at) VALUES ($1, $2, $3, 'pending', $4)`,
        tenant,
        place.id,
        data.token,
        place.at,
      )
      break
    case 'DomainVerified':
      await place.run(
        `UPDATE @domains SET status = 'verified', verified_at = $3, missing_since = NULL WHERE tenant = $1 AND domain = $2`,
        tenant,
        place.id,
        place.at,
      )
      break
    case 'DomainRecordMissed':
      await place.run(
        `UPDATE @domains SET status = 'missing', missing_since = $3 WHERE tenant = $1 AND domain = $2`,
        tenant,
        place.id,
        time(data.at),
      )
      break
    case 'DomainRecordFound':
      await place.run(
        `UPDATE @domains SET status = 'verified', missing_since = NULL WHERE tenant = $1 AND domain = $2`,
        tenant,
        place.id,
      )
      break
    case 'DomainLapsed':
      await place.run(`UPDATE @domains SET status = 'lapsed' WHERE tenant = $1 AND domain = $2`, tenant, place.id)
      break
    case 'DomainReleased':
      await place.run('DELETE FROM @domains WHERE tenant = $1 AND domain = $2', tenant, place.id)
      break
  }
}

const applyDeviceGrant = async (place: Place, { type, data }: DeviceGrantEvent): Promise<void> => {
  switch (type) {
    case 'DeviceGrantRequested':
      await place.run(
        `INSERT INTO @device_grants (id, device, code, asker, status, expires_at)
         VALUES ($1, $2, $3, $4, 'asked', $5)`,
        place.id,
        data.device,
        data.code,
        data.asker,
        time(data.expiresAt),
      )
      break
    case 'DeviceGrantApproved':
      await place.run(
        `UPDATE @device_grants SET status = 'approved', approval = $2 WHERE id = $1`,
        place.id,
        JSON.stringify(data),
      )
      break
    case 'DeviceGrantDenied':
      await place.run(`UPDATE @device_grants SET status = 'denied' WHERE id = $1`, place.id)
      break
    case 'DeviceGrantRedeemed':
    case 'DeviceGrantExpired':
      await place.run(`UPDATE @device_grants SET status = 'over', approval = NULL WHERE id = $1`, place.id)
      break
  }
}
