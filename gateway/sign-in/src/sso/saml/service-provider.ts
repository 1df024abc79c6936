import { randomBytes } from 'node:crypto'
import { generateServiceProviderMetadata, SAML, SamlStatusError, ValidateInResponseTo } from '@node-saml/node-saml'
import type { SsoConnection } from '@omium/schemas'
import { readAssertion, type SamlAnswer } from './assertion.ts'
import { samlRefused } from './refusal.ts'
import { readResponse } from './xml.ts'

/**
 * One connection's part as a SAML 2.0 service provider: signed requests by HTTP-Redirect, responses by HTTP-POST. Each connection
 * has an entity id and addresses of its own, so an assertion for one is none for another.
 *
 * 1. The assertion itself is signed, by a certificate of the connection; a signed response around an unsigned one is not enough.
 * 2. What is read is what the signature covers (node-saml gives the signed bytes), so nothing that was wrapped around it counts.
 * 3. node-saml checks signatures and decrypts; every other condition is in `assertion.ts`.
 */
export interface ServiceProvider {
  readonly entityId: string
  readonly acsUrl: string
  metadata(): string
  /** @param fresh they have to prove anew who they are */
  begin(fresh: boolean): Promise<{ readonly url: URL; readonly requestId: string }>
  /**
   * @param requestId of the request that the browser was sent with; undefined: nobody asked
   * @throws OmiumError `sso_assertion_refused`
   */
  finish(response: string, requestId: string | undefined): Promise<SamlAnswer>
}

export interface ServiceProviderOptions {
  readonly publicUrl: string
  readonly connectionId: string
  readonly settings: Extract<SsoConnection['settings'], { kind: 'saml' }>
  /** PKCS#8 in PEM */
  readonly key: string
  readonly nowMs: () => number
}

/** What an identity provider is told about a connection. */
export const samlAddresses = (publicUrl: string, connectionId: string) => ({
  entityId: `${publicUrl}/auth/saml/${connectionId}/metadata`,
  metadataUrl: `${publicUrl}/auth/saml/${connectionId}/metadata`,
  acsUrl: `${publicUrl}/auth/saml/${connectionId}/acs`,
})

export const createServiceProvider = (options: ServiceProviderOptions): ServiceProvider => {
  const { publicUrl, connectionId, settings, key, nowMs } = options
  const { entityId, acsUrl } = samlAddresses(publicUrl, connectionId)
  const samlFor = (fresh: boolean, generateUniqueId: () => string) =>
    new SAML({
      issuer: entityId,
      callbackUrl: acsUrl,
      entryPoint: settings.ssoUrl,
      idpCert: settings.certificates,
      privateKey: key,
      decryptionPvk: key,
      signatureAlgorithm: 'sha256',
      digestAlgorithm: 'sha256',
      identifierFormat: null,
      disableRequestedAuthnContext: true,
      forceAuthn: fresh,
      wantAssertionsSigned: true,
      wantAuthnResponseSigned: false,
      // these are checked in assertion.ts
      audience: false,
      acceptedClockSkewMs: -1,
      validateInResponseTo: ValidateInResponseTo.never,
      generateUniqueId,
    })

  return {
    entityId,
    acsUrl,
    metadata: () =>
      generateServiceProviderMetadata({
        issuer: entityId,
        callbackUrl: acsUrl,
        wantAssertionsSigned: true,
        identifierFormat: null,
        privateKey: key,
        publicCerts: settings.certificate,
        decryptionPvk: key,
        decryptionCert: settings.certificate,
      }),
    begin: async (fresh) => {
      const requestId = `_${randomBytes(20).toString('hex')}`
      const url = await samlFor(fresh, () => requestId).getAuthorizeUrlAsync('', undefined, {})
      return { url: new URL(url), requestId }
    },
    finish: async (response, requestId) => {
      const { root } = await readResponse(response, key)
      const signed = await samlFor(false, () => '')
        .validatePostResponseAsync({ SAMLResponse: response })
        .catch((cause: unknown) => {
          throw samlRefused(cause instanceof SamlStatusError ? 'status' : 'signature', cause)
        })
      // what the response itself says is signed only sometimes; what it says must not contradict all the same
      const destination = root.getAttribute('Destination')
      if (destination && destination !== acsUrl) throw samlRefused('destination')
      const answers = root.getAttribute('InResponseTo') || undefined
      if (answers !== requestId) throw samlRefused('in_response_to')
      return readAssertion(signed.profile?.getAssertion?.(), {
        entityId: settings.entityId,
        audience: entityId,
        acsUrl,
        requestId,
        nowMs: nowMs(),
      })
    },
  }
}
