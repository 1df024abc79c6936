import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'
import { keyedDigest, role, sealedText, tenantId, timeMs, userId } from './model.ts'

/**
 * Enterprise sign-in of a tenant: connections to its identity providers, the mail domains that it has proved to be its own, and
 * whether its people may come in another way.
 */

const by = z.string().max(300)

/** The host name of an e-mail address, in lower case; international names in their ASCII form (RFC 5891). */
export const domainName = z
  .string()
  .max(253)
  .regex(
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z][a-z0-9-]{0,61}[a-z0-9])$/,
    'expected a domain such as example.com',
  )

export const ssoConnectionId = z.string().regex(/^sso_[A-Za-z0-9]{1,60}$/)

/** Whoever has this value in this claim (OIDC) or attribute (SAML) gets the role. The first rule that fits counts. */
export const ssoRoleRule = z.object({
  attribute: z.string().min(1).max(300),
  value: z.string().min(1).max(500),
  role,
})
export type SsoRoleRule = z.infer<typeof ssoRoleRule>

export const oidcConnection = z.object({
  kind: z.literal('oidc'),
  issuer: z.string().max(500),
  clientId: z.string().min(1).max(500),
  /** a public client has none */
  clientSecret: sealedText.optional(),
  scopes: z.array(z.string().max(100)).max(20),
})

/** A certificate in PEM. */
export const certificate = z.string().max(8192)

export const samlConnection = z.object({
  kind: z.literal('saml'),
  /** of the identity provider */
  entityId: z.string().min(1).max(500),
  /** where requests go (HTTP-Redirect) */
  ssoUrl: z.string().max(2000),
  /** any of them may have signed an assertion: certificates are replaced with overlap */
  certificates: z.array(certificate).min(1).max(10),
  /** PKCS#8 in PEM: signs requests, decrypts assertions */
  key: sealedText,
  certificate,
  /** attributes that hold address and name; the address may be the NameID */
  emailAttribute: z.string().max(300).optional(),
  nameAttribute: z.string().max(300).optional(),
  /** take assertions that nobody asked for */
  idpInitiated: z.boolean(),
})

/** A connection as a whole: changes replace it. Secrets are sealed under the connection's id. */
export const ssoConnection = z.object({
  name: z.string().min(1).max(200),
  /** whose addresses it signs in, as far as the tenant has proved that they are its own */
  domains: z.array(domainName).max(100),
  settings: z.union([oidcConnection, samlConnection]),
  rules: z.array(ssoRoleRule).max(200),
  /** of whom no rule fits; absent: they are not let in */
  defaultRole: role.optional(),
})
export type SsoConnection = z.infer<typeof ssoConnection>

/** How a trial ended: `ok`, or the error's code. */
const ssoTest = z.object({ outcome: z.string().max(100) })

const takenAssertion = z.object({
  /** of the assertion's id */
  assertion: keyedDigest,
  /** nobody would take it afterwards, so it need not be remembered longer */
  expiresAt: timeMs,
})

export const ssoConnectionCommands = {
  /** the same again is nothing new */
  CreateSsoConnection: v1(ssoConnection),
  ChangeSsoConnection: v1(ssoConnection),
  ActivateSsoConnection: v1(z.object({})),
  DisableSsoConnection: v1(z.object({})),
  DeleteSsoConnection: v1(z.object({})),
  RecordSsoTest: v1(ssoTest),
  /** each assertion signs in once; only at an active connection */
  TakeAssertion: v1(takenAssertion),
} as const
export type SsoConnectionCommand = RecordOf<typeof ssoConnectionCommands>

/** `sso_connection:<tenant>/<id>`. A draft can be tried, and lets nobody in. */
export const ssoConnectionEvents = {
  SsoConnectionCreated: v1(ssoConnection.extend({ by })),
  SsoConnectionChanged: v1(ssoConnection.extend({ by })),
  SsoConnectionActivated: v1(z.object({ by })),
  SsoConnectionDisabled: v1(z.object({ by })),
  SsoConnectionDeleted: v1(z.object({ by })),
  /** the key that its secrets were sealed under is gone */
  SsoSecretsDestroyed: v1(z.object({})),
  SsoConnectionTested: v1(ssoTest.extend({ by, at: timeMs })),
  AssertionTaken: v1(takenAssertion.extend({ at: timeMs })),
} as const
export type SsoConnectionEvent = RecordOf<typeof ssoConnectionEvents>

const domainToken = z.string().regex(/^[A-Za-z0-9_-]{20,100}$/)
const ofTenant = z.object({ tenant: tenantId })

export const domainCommands = {
  ClaimDomain: v1(ofTenant.extend({ token: domainToken })),
  /** its record with this token was found */
  ConfirmDomain: v1(ofTenant.extend({ token: domainToken })),
  ReleaseDomain: v1(ofTenant),
} as const
export type DomainCommand = RecordOf<typeof domainCommands>

/**
 * `domain:omium/<domain>`. Any tenant may claim any domain; it belongs to the one that has shown that it controls its DNS.
 */
export const domainEvents = {
  DomainClaimed: v1(ofTenant.extend({ token: domainToken, by })),
  DomainVerified: v1(ofTenant.extend({ by })),
  /** the record is gone; it goes on for a grace */
  DomainRecordMissed: v1(ofTenant.extend({ at: timeMs })),
  /** within the grace the record came back */
  DomainRecordFound: v1(ofTenant),
  /** it stayed away: nothing follows from the domain any more, and others may prove that it is theirs */
  DomainLapsed: v1(ofTenant),
  DomainReleased: v1(ofTenant.extend({ by })),
} as const
export type DomainEvent = RecordOf<typeof domainEvents>

/** part of the tenant's commands */
export const ssoTenantCommands = {
  RequireSso: v1(z.object({ required: z.boolean() })),
  /** a connection vouches for them; with `decides` the role is the connection's to say, each time */
  AdmitMember: v1(z.object({ userId, role, connection: ssoConnectionId, decides: z.boolean() })),
} as const

/** part of the tenant's events */
export const ssoTenantEvents = {
  /** whether members with addresses in the tenant's domains act in it only with a session of one of its connections */
  SsoRequired: v1(z.object({ required: z.boolean(), by })),
} as const

const issuerPattern = /^omium:sso:([^/]+)\/(sso_[A-Za-z0-9]+)$/

/**
 * The issuer of logins that come through a connection. What the identity provider calls itself is not enough: with SAML anybody
 * may use any name, so an account is one of its connection.
 */
export const ssoIssuer = (tenant: string, connection: string): string => `omium:sso:${tenant}/${connection}`

/** The connection that a login came through; undefined for other logins. */
export const parseSsoIssuer = (issuer: string): { tenant: string; connection: string } | undefined => {
  const [, tenant, connection] = issuerPattern.exec(issuer) ?? []
  return tenant === undefined || connection === undefined ? undefined : { tenant, connection }
}

/** The domain of an address, in lower case. */
export const domainOfAddress = (email: string): string => email.slice(email.lastIndexOf('@') + 1).toLowerCase()
