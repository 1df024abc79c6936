import { z } from 'zod'
import { callerId, name } from '../ids.ts'
import { accessHours } from './hours.ts'

/**
 * People, tenants and what opens the door. Personal data (addresses, names) appears on the log only sealed, under a key of
 * its subject that can be destroyed; what has to be compared is a keyed digest.
 */

/** Aggregates that belong to no tenant (users, addresses, links) live under this name, which no tenant can have. */
export const platformTenant = 'omium'

/** Personal data under its subject's key: `v1.<subject>.<key version>.<base64url>`. Unreadable once the key is destroyed. */
export const sealedText = z
  .string()
  .max(4096)
  .regex(/^v1\.[A-Za-z0-9_-]+\.\d+\.[A-Za-z0-9_-]+$/)

/** milliseconds since 1970 */
export const timeMs = z.number().int().nonnegative()

/** HMAC-SHA-256, hex, of a value under a key of the platform: equal values can be found, but not read. */
export const keyedDigest = z.string().regex(/^[0-9a-f]{64}$/)

export const emailAddress = z
  .string()
  .max(254)
  // of ASCII only: the Kelvin sign in lower case is a `k`, and somebody else's address
  .transform((text) => text.trim().replace(/[A-Z]+/g, (letters) => letters.toLowerCase()))
  .pipe(z.email())

/** What a caller may do. A route names one; roles and API keys hold sets of them. */
export const permissions = [
  'executions:read',
  'executions:write',
  'workflows:read',
  'workflows:write',
  'checkpoints:read',
  'checkpoints:write',
  'recoveries:read',
  'recoveries:write',
  'models:use',
  'workers:connect',
  'platform:read',
  'webhooks:read',
  'webhooks:write',
  'members:read',
  'members:write',
  'keys:read',
  'keys:write',
  'tenant:read',
  'tenant:write',
  'billing:read',
  'billing:write',
  'audit:read',
  'tokens:write',
  'privacy:write',
  'sso:read',
  'sso:write',
] as const
export const permission = z.enum(permissions)
export type Permission = z.infer<typeof permission>

export const roles = ['owner', 'admin', 'developer', 'operator', 'viewer', 'billing'] as const
export const role = z.enum(roles)
export type Role = z.infer<typeof role>

const reading: readonly Permission[] = [
  'executions:read',
  'workflows:read',
  'checkpoints:read',
  'recoveries:read',
  'platform:read',
  'webhooks:read',
  'tenant:read',
  'members:read',
]
const operating: readonly Permission[] = [...reading, 'executions:write', 'recoveries:write', 'checkpoints:write']
const developing: readonly Permission[] = [
  ...operating,
  'workflows:write',
  'webhooks:write',
  'models:use',
  'workers:connect',
  'keys:read',
  'tokens:write',
]

/**
 * What each role permits. Only owners may change the tenant itself, its money and other owners, and so what makes owners: the
 * roles that identity providers give.
 */
export const rolePermissions: Readonly<Record<Role, readonly Permission[]>> = {
  owner: permissions,
  admin: permissions.filter((one) => one !== 'billing:write' && one !== 'privacy:write' && one !== 'sso:write'),
  developer: developing,
  operator: operating,
  viewer: reading,
  billing: ['billing:read', 'billing:write', 'tenant:read', 'members:read'],
}

export const keyEnvironments = ['live', 'test'] as const
export const keyEnvironment = z.enum(keyEnvironments)
export type KeyEnvironment = z.infer<typeof keyEnvironment>

/** What an API key may do: permissions, and nothing outside the workflows or agents that it names, when it names some. */
export const keyScopes = z.object({
  permissions: z.array(permission).min(1).max(permissions.length),
  workflows: z.array(name).min(1).max(100).optional(),
  agents: z.array(name).min(1).max(100).optional(),
})
export type KeyScopes = z.infer<typeof keyScopes>

export const keyHash = z.object({
  /** HMAC-SHA-256 of the whole key, hex */
  digest: keyedDigest,
  /** which of the platform's peppers */
  pepper: z.number().int().positive(),
})
export type KeyHash = z.infer<typeof keyHash>

/** How somebody proved who they are; `amr` values of RFC 8176 where it has one. */
export const signInMethods = ['magic_link', 'oidc', 'github', 'saml', 'device', 'passkey'] as const
export const signInMethod = z.enum(signInMethods)
export type SignInMethod = z.infer<typeof signInMethod>

/** One way in: an account at an identity provider. `issuer` is a URL; `subject` is only kept as a digest. */
export const login = z.object({ method: signInMethod, issuer: z.string().max(500), subject: keyedDigest })
export type Login = z.infer<typeof login>

export const userId = callerId
export const tenantId = callerId.refine((id) => id !== platformTenant, 'this name is reserved')

export const tenantName = z.string().min(1).max(200)
export const personalTenant = z.object({ id: tenantId, name: tenantName })

/** A user's first sign-in. */
export const registration = z.object({
  address: keyedDigest,
  email: sealedText,
  name: sealedText.optional(),
  login,
  /** founded with the user; absent when an invitation brought them */
  tenant: personalTenant.optional(),
})

export const invitationId = callerId
export const invitation = z.object({ invitationId, address: keyedDigest, email: sealedText, role, expiresAt: timeMs })
export const memberRemoval = z.enum(['left', 'removed', 'erased'])

export const sessionId = callerId
export const sessionClient = z.enum(['browser', 'cli'])
export const sessionEnds = ['signed_out', 'reused', 'expired', 'removed', 'revoked', 'erased'] as const
export const sessionEnd = z.enum(sessionEnds)
export const sessionStart = z.object({
  sessionId,
  /** the tenant it acts in; switching is an event */
  tenant: tenantId,
  login,
  /** RFC 8176 */
  amr: z.array(z.string().max(40)).max(10),
  authenticatedAt: timeMs,
  expiresAt: timeMs,
  client: sessionClient,
})

export const issuedMagicLink = z.object({
  /** HMAC of the secret in the link */
  secret: keyedDigest,
  /** HMAC of the cookie of the browser that asked */
  browser: keyedDigest,
  expiresAt: timeMs,
})

const cidrRange = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])

/** Addresses and ranges in CIDR notation, IPv4 or IPv6. On the log they are plain text: registries know no such formats. */
export const cidrRanges = z
  .array(
    z
      .string()
      .max(50)
      .refine((text) => cidrRange.safeParse(text).success, 'expected an address or a range in CIDR notation'),
  )
  .max(200)

export const issuedApiKey = z.object({
  name: tenantName,
  environment: keyEnvironment,
  /** the key's readable beginning, by which a person recognises it */
  prefix: z.string().max(40),
  hash: keyHash,
  scopes: keyScopes,
  expiresAt: timeMs.optional(),
  /** CIDR ranges it may be used from */
  ranges: cidrRanges.optional(),
  /** when it may be used; absent: at any time */
  hours: accessHours.optional(),
  /** the key that it replaces */
  replaces: callerId.optional(),
})
