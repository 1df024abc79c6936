import type { ProjectionDefinition } from '@omium/projection-kit'
import { createApplier } from './applier.ts'

/** The read models of the identity context. Raise `codeVersion` when the same log would fill the tables differently. */
export const identityProjection: ProjectionDefinition = {
  name: 'identity',
  codeVersion: 2,
  tables: [
    { name: 'addresses', key: ['digest'] },
    { name: 'users', key: ['id'] },
    { name: 'logins', key: ['user_id', 'method', 'issuer', 'subject'] },
    { name: 'tenants', key: ['tenant'] },
    { name: 'memberships', key: ['tenant', 'user_id'] },
    { name: 'invitations', key: ['tenant', 'id'] },
    { name: 'api_keys', key: ['tenant', 'id'] },
    { name: 'sessions', key: ['id'] },
    { name: 'factors', key: ['user_id', 'id'] },
    { name: 'recovery_codes', key: ['user_id', 'code'] },
    { name: 'sso_connections', key: ['tenant', 'id'] },
    { name: 'domains', key: ['tenant', 'domain'] },
    { name: 'erasures', key: ['tenant', 'id'] },
    { name: 'device_grants', key: ['id'] },
  ],
  createApplier,
}
