import { X509Certificate } from 'node:crypto'
import samlp from 'samlp'
import { createSamlKeyPair, type SamlKeyPair } from './sso/saml/self-signed.ts'

/** For specs: a SAML identity provider, samlp's, of which every part of an answer can be made wrong. */

export interface SamlPerson {
  readonly nameId: string
  readonly format?: string
  readonly attributes: Readonly<Record<string, string | readonly string[]>>
}

/** What an answer says; changed by specs. */
export interface SamlAnswerPlan {
  readonly issuer: string
  readonly audience: string
  readonly recipient: string
  readonly destination: string
  readonly inResponseTo: string | undefined
  readonly lifetimeInSeconds: number
  readonly signAssertion: boolean
  readonly signResponse: boolean
  readonly signatureAlgorithm: string
  readonly digestAlgorithm: string
  readonly keys: SamlKeyPair
  /** certificate in PEM: for whom the assertion is encrypted */
  readonly encryptedFor: string | undefined
  readonly encryptionAlgorithm: string
}

export interface SamlIdp {
  readonly entityId: string
  readonly keys: SamlKeyPair
  /** Reads the request that a browser brings. @throws Error when its signature does not fit the certificate */
  read(
    url: URL,
    certificate: string,
  ): Promise<{ readonly id: string; readonly issuer: string; readonly acsUrl: string }>
  /** @returns the response's XML */
  answer(
    to: { readonly id: string | undefined; readonly issuer: string; readonly acsUrl: string },
    person: SamlPerson,
    changes?: Partial<SamlAnswerPlan>,
  ): Promise<string>
}

export const createSamlIdp = async (entityId: string): Promise<SamlIdp> => {
  const keys = await createSamlKeyPair('idp', Date.now())
  return {
    entityId,
    keys,
    read: (url, certificate) =>
      new Promise((resolve, reject) => {
        const query = Object.fromEntries(url.searchParams)
        samlp.parseRequest({ method: 'GET', query }, { signingCert: certificate }, (error, request) => {
          if (error) reject(error)
          else
            resolve({
              id: request.id ?? '',
              issuer: request.issuer ?? '',
              acsUrl: request.assertionConsumerServiceURL ?? '',
            })
        })
      }),
    answer: ({ id, issuer, acsUrl }, person, changes = {}) => {
      const plan: SamlAnswerPlan = {
        issuer: entityId,
        audience: issuer,
        recipient: acsUrl,
        destination: acsUrl,
        inResponseTo: id,
        lifetimeInSeconds: 300,
        signAssertion: true,
        signResponse: false,
        signatureAlgorithm: 'rsa-sha256',
        digestAlgorithm: 'sha256',
        keys,
        encryptedFor: undefined,
        encryptionAlgorithm: 'http://www.w3.org/2009/xmlenc11#aes256-gcm',
        ...changes,
      }
      const { keys: signing, encryptedFor, ...rest } = plan
      return new Promise((resolve, reject) => {
        samlp.getSamlResponse(
          {
            ...rest,
            // specs want answers that nobody should take
            disallowEncryptionWithInsecureAlgorithm: false,
            warnOnInsecureEncryptionAlgorithm: false,
            key: signing.key,
            cert: signing.certificate,
            ...(encryptedFor !== undefined && {
              encryptionCert: encryptedFor,
              encryptionPublicKey: new X509Certificate(encryptedFor).publicKey
                .export({ type: 'spki', format: 'pem' })
                .toString(),
            }),
            profileMapper: (user) => ({
              getClaims: () => user.attributes,
              getNameIdentifier: () => ({ nameIdentifier: user.nameId, nameIdentifierFormat: user.format }),
            }),
          },
          person,
          (error, xml) => (error ? reject(error) : resolve(xml)),
        )
      })
    },
  }
}

/** What an identity provider publishes about itself. @param certificates PEM */
export const idpMetadataXml = ({
  entityId,
  ssoUrl,
  certificates,
}: {
  readonly entityId: string
  readonly ssoUrl: string
  readonly certificates: readonly string[]
}): string => {
  const keys = certificates.map((pem) => {
    const base64 = pem.replace(/-----[^-]+-----/g, '')
    return `<KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>${base64}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></KeyDescriptor>`
  })
  return `<?xml version="1.0"?><EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="${entityId}">
<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">${keys.join('')}
<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${ssoUrl.replaceAll('&', '&amp;')}"/>
</IDPSSODescriptor></EntityDescriptor>`
}

/** As a form carries it. */
export const encodedResponse = (xml: string): string => Buffer.from(xml).toString('base64')
