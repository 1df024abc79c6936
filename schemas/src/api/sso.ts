import { z } from 'zod'
import { role } from '../identity/model.ts'
import { domainName, ssoConnectionId, ssoRoleRule } from '../identity/sso.ts'
import { identityReceipt } from './identity.ts'

/** Enterprise sign-in over HTTP: connections, domains, and the demand that people use them. Secrets go in and never come out. */

const time = z.iso.datetime()
const webUrl = z.url({ protocol: /^https?$/ })

const oidcSettingsBody = z.strictObject({
  kind: z.literal('oidc'),
  /** its discovery document is at `<issuer>/.well-known/openid-configuration` */
  issuer: webUrl.max(500),
  clientId: z.string().min(1).max(500),
  /** absent in a change: it stays; absent at first: a public client */
  clientSecret: z.string().min(1).max(1000).optional(),
  scopes: z.array(z.string().min(1).max(100)).max(20).default(['openid', 'email', 'profile']),
})

const samlSettingsBody = z.strictObject({
  kind: z.literal('saml'),
  entityId: z.string().min(1).max(500),
  ssoUrl: webUrl.max(2000),
  /** PEM, or the base64 of `<X509Certificate>` */
  certificates: z.array(z.string().min(100).max(8000)).min(1).max(10),
  emailAttribute: z.string().min(1).max(300).optional(),
  nameAttribute: z.string().min(1).max(300).optional(),
  idpInitiated: z.boolean().default(false),
})

const signingCertificateView = z.object({ pem: z.string(), subject: z.string(), expiresAt: time })

/** Metadata of an identity provider: the document itself, or where it is published. */
export const idpMetadataBody = z.union([
  z.strictObject({ xml: z.string().min(1).max(262_144) }),
  z.strictObject({ url: webUrl.max(2000) }),
])
/** What of it belongs into the settings of a connection. */
export const idpMetadataView = z.object({
  entityId: z.string(),
  ssoUrl: z.string(),
  /** two while it replaces its certificate */
  certificates: z.array(signingCertificateView),
})

/** A connection as a whole; a change replaces everything but the kind, and the secrets that it does not name. */
export const ssoConnectionBody = z.strictObject({
  name: z.string().trim().min(1).max(200),
  domains: z.array(domainName).max(100).default([]),
  settings: z.discriminatedUnion('kind', [oidcSettingsBody, samlSettingsBody]),
  rules: z.array(ssoRoleRule).max(200).default([]),
  defaultRole: role.optional(),
})
export type SsoConnectionBody = z.infer<typeof ssoConnectionBody>

export const ssoConnectionView = z.object({
  id: z.string(),
  name: z.string(),
  status: z.enum(['draft', 'active', 'disabled']),
  domains: z.array(z.object({ domain: z.string(), verified: z.boolean() })),
  settings: z.union([
    z.object({
      kind: z.literal('oidc'),
      issuer: z.string(),
      clientId: z.string(),
      hasSecret: z.boolean(),
      scopes: z.array(z.string()),
      /** to be registered at the identity provider */
      redirectUri: z.string(),
    }),
    z.object({
      kind: z.literal('saml'),
      entityId: z.string(),
      ssoUrl: z.string(),
      certificates: z.array(signingCertificateView),
      emailAttribute: z.string().optional(),
      nameAttribute: z.string().optional(),
      idpInitiated: z.boolean(),
      /** to be registered at the identity provider; `metadataUrl` holds all of it */
      serviceProvider: z.object({
        entityId: z.string(),
        acsUrl: z.string(),
        metadataUrl: z.string(),
        certificate: z.string(),
      }),
    }),
  ]),
  rules: z.array(ssoRoleRule),
  defaultRole: role.optional(),
  createdAt: time,
  changedAt: time,
  /** how the last trial ended: `ok` or an error's code */
  lastTest: z.object({ at: time, outcome: z.string() }).optional(),
})
export type SsoConnectionView = z.infer<typeof ssoConnectionView>

export const ssoConnectionParam = z.object({ id: ssoConnectionId })

/** Open it in a window: whoever signs in there sees what was received and what would become of it. Nobody is signed in. */
export const ssoTestStarted = z.object({ url: z.string(), expiresAt: time })

export const ssoPolicyBody = z.strictObject({ required: z.boolean() })
export const ssoPolicyView = z.object({ required: z.boolean() })

export const domainView = z.object({
  domain: z.string(),
  /** `missing`: its record is gone, and it goes on for the grace; `lapsed`: it stayed away */
  status: z.enum(['pending', 'verified', 'missing', 'lapsed']),
  /** what the DNS of the domain has to hold */
  record: z.object({ type: z.literal('TXT'), name: z.string(), value: z.string() }),
  claimedAt: time,
  verifiedAt: time.optional(),
  missingSince: time.optional(),
})
export type DomainView = z.infer<typeof domainView>
export const claimDomainBody = z.strictObject({ domain: z.string().trim().toLowerCase().pipe(domainName) })
export const claimedDomain = identityReceipt.extend({ record: domainView.shape.record })
export const domainParam = z.object({ domain: domainName })

/** The text of the TXT record that proves a domain. */
export const domainRecord = (token: string): string => `omium-verification=${token}`
