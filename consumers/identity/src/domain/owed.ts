import {
  aggregateKey,
  hashJson,
  heldSubject,
  type IdentityContextCommand,
  platformTenant,
  type SecurityNotice,
} from '@omium/schemas'
import type { ApiKeyState } from './api-key.ts'
import type { SsoConnectionState } from './sso-connection.ts'
import type { TenantState } from './tenant.ts'
import type { UserState } from './user.ts'

/**
 * What aggregates owe to others. Derived from their states, never stored: whoever takes the partition over derives the same,
 * with the same ids, and sends it again.
 */
export interface OwedCommand {
  readonly what: 'command'
  readonly id: string
  readonly tenant: string
  readonly aggregate: string
  readonly command: IdentityContextCommand
  /** recorded once it is on the log */
  readonly receipt:
    | { readonly type: 'PersonalTenantRequested' | 'ApiKeyReported'; readonly data: Record<string, never> }
    | { readonly type: 'MemberAdditionReported' | 'MemberRemovalReported'; readonly data: { readonly userId: string } }
    | { readonly type: 'MembershipWithdrawn'; readonly data: { readonly tenant: string } }
    | null
}
/** the keys of what was sealed are to be destroyed */
export interface OwedErasure {
  readonly what: 'erasure'
  readonly id: string
  readonly subjects: readonly string[]
  readonly receipt:
    | { readonly type: 'ErasureCompleted' | 'SsoSecretsDestroyed'; readonly data: Record<string, never> }
    | { readonly type: 'MemberErasureCompleted'; readonly data: { readonly erasureId: string } }
}
export type Owed = OwedCommand | OwedErasure

const idOf = (what: string, ...parts: (string | number)[]): string => `cmd_id${what}_${hashJson(parts).slice(0, 32)}`

/** In the order in which they have to be sent. */
export const owedByUser = ({ userId, founding, status, address, tenants }: UserState): Owed[] => {
  const owed: Owed[] = []
  if (founding)
    owed.push({
      what: 'command',
      id: idOf('found', founding.id, userId),
      tenant: founding.id,
      aggregate: aggregateKey('tenant', founding.id, founding.id),
      command: { type: 'FoundTenant', data: { name: founding.name, owner: userId } },
      receipt: { type: 'PersonalTenantRequested', data: {} },
    })
  // also of a membership that began while they were being erased
  if (status !== 'active')
    for (const [tenant, version] of Object.entries(tenants))
      owed.push({
        what: 'command',
        id: idOf('withdraw', userId, tenant, version),
        tenant,
        aggregate: aggregateKey('tenant', tenant, tenant),
        command: { type: 'RemoveMember', data: { userId, why: 'erased' } },
        receipt: { type: 'MembershipWithdrawn', data: { tenant } },
      })
  if (status === 'erasing')
    owed.push(
      {
        what: 'command',
        id: idOf('release', userId, address),
        tenant: platformTenant,
        aggregate: aggregateKey('address', platformTenant, address),
        command: { type: 'ReleaseAddress', data: { userId, why: 'erased' } },
        receipt: null,
      },
      // what was known of them before they were a user is under their address
      {
        what: 'erasure',
        id: idOf('erase', userId),
        subjects: [userId, address],
        receipt: { type: 'ErasureCompleted', data: {} },
      },
    )
  return owed
}

export const owedByTenant = ({ tenant, additions, removals, erasures }: TenantState): Owed[] => {
  const toUser = (userId: string) => ({
    what: 'command' as const,
    tenant: platformTenant,
    aggregate: aggregateKey('user', platformTenant, userId),
  })
  return [
    ...Object.entries(additions).map(
      ([userId, version]): Owed => ({
        ...toUser(userId),
        id: idOf('joined', tenant, userId, version),
        command: { type: 'NoteMembership', data: { tenant } },
        receipt: { type: 'MemberAdditionReported', data: { userId } },
      }),
    ),
    ...Object.entries(removals).map(
      ([userId, version]): Owed => ({
        ...toUser(userId),
        id: idOf('sessions', tenant, userId, version),
        command: { type: 'EndSessions', data: { tenant, why: 'removed' } },
        receipt: { type: 'MemberRemovalReported', data: { userId } },
      }),
    ),
    ...Object.entries(erasures).map(
      ([erasureId, address]): Owed => ({
        what: 'erasure',
        id: idOf('forget', tenant, erasureId),
        subjects: [heldSubject(address, tenant)],
        receipt: { type: 'MemberErasureCompleted', data: { erasureId } },
      }),
    ),
  ]
}

export const owedByApiKey = ({ report }: ApiKeyState): Owed[] => {
  if (!report) return []
  const { userId, correlationId: _, ...key } = report
  return [
    {
      what: 'command',
      id: idOf('apikey', key.tenant, key.keyId),
      tenant: platformTenant,
      aggregate: aggregateKey('user', platformTenant, userId),
      command: { type: 'NoteApiKey', data: key },
      receipt: { type: 'ApiKeyReported', data: {} },
    },
  ]
}

/** A mail to a person about what changed in who gets in. */
export interface OwedMail {
  readonly id: string
  /** the version by which its user knows it */
  readonly version: number
  readonly notice: SecurityNotice
  readonly at: number
  /** sealed */
  readonly email: string
}

/** Apart from the commands: a mail server that is away holds up nothing else. */
export const mailsOwedByUser = ({ userId, email, notices, status }: UserState): OwedMail[] =>
  status === 'active'
    ? Object.entries(notices).map(([version, { notice, at }]) => {
        const id = hashJson(['notice', userId, Number(version)]).slice(0, 32)
        return { id, version: Number(version), notice, at, email }
      })
    : []

/** Its secrets are sealed under its id. */
export const owedBySsoConnection = ({ id, status }: SsoConnectionState): Owed[] =>
  status === 'deleting'
    ? [
        {
          what: 'erasure',
          id: idOf('secrets', id),
          subjects: [id],
          receipt: { type: 'SsoSecretsDestroyed', data: {} },
        },
      ]
    : []
