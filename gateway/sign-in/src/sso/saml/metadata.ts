import { OmiumError } from '@omium/schemas'
import { signingCertificate } from './certificates.ts'
import { allOf, parseXml, signatures } from './xml.ts'

/** What the metadata of an identity provider says (SAML 2.0 Metadata), as far as a connection needs it. */
export interface IdpMetadata {
  readonly entityId: string
  /** where requests go by HTTP-Redirect */
  readonly ssoUrl: string
  /** PEM; more than one while the provider replaces its certificate */
  readonly certificates: readonly string[]
}

const metadata = 'urn:oasis:names:tc:SAML:2.0:metadata'
const protocol = 'urn:oasis:names:tc:SAML:2.0:protocol'
const redirect = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect'
const mostCertificates = 10

const bad = (detail: string, cause?: unknown): OmiumError =>
  new OmiumError('invalid_request', `the metadata ${detail}`, { cause })

const childrenOf = (element: Element, name: string): Element[] =>
  allOf(element, metadata, name).filter(({ parentNode }) => parentNode === element)

const parse = (xml: string): Element => {
  try {
    // some begin with a byte order mark
    return parseXml(xml.replace(/^\uFEFF/, ''))
  } catch (cause) {
    throw bad(`cannot be read as XML: ${(cause as Error).message.slice(0, 200)}`, cause)
  }
}

/** The part of the one identity provider in it; a federation's file has many. */
const idpIn = (root: Element): { readonly entity: Element; readonly idp: Element } => {
  const entities = root.localName === 'EntityDescriptor' ? [root] : allOf(root, metadata, 'EntityDescriptor')
  const found = entities.flatMap((entity) =>
    childrenOf(entity, 'IDPSSODescriptor')
      .filter((idp) => idp.getAttribute('protocolSupportEnumeration')?.split(/\s+/).includes(protocol))
      .map((idp) => ({ entity, idp })),
  )
  const [only] = found
  if (!only || found.length > 1)
    throw bad(`is of ${found.length} identity providers that speak SAML 2.0: expected the one`)
  return only
}

const certificatesIn = (idp: Element): string[] => {
  const signing = childrenOf(idp, 'KeyDescriptor').filter((key) => (key.getAttribute('use') || 'signing') === 'signing')
  const given = signing.flatMap((key) => allOf(key, signatures, 'X509Certificate').map((one) => one.textContent ?? ''))
  const problems: unknown[] = []
  const taken = given.flatMap((one) => {
    try {
      return [signingCertificate(one)]
    } catch (error) {
      problems.push(error)
      return []
    }
  })
  if (taken.length === 0) {
    const [problem] = problems
    throw bad(`has no certificate to sign with that is taken${problem ? `: ${(problem as Error).message}` : ''}`)
  }
  return [...new Set(taken)].slice(0, mostCertificates)
}

/**
 * Reads metadata. Nothing in it is believed because it says so: whoever gives it vouches for it, as for settings that are typed in.
 * @throws OmiumError `invalid_request` that says what is missing
 */
export const readIdpMetadata = (xml: string, nowMs: number): IdpMetadata => {
  const { entity, idp } = idpIn(parse(xml))
  for (const element of [entity, idp]) {
    const until = element.getAttribute('validUntil')
    if (until && !(Date.parse(until) > nowMs)) throw bad(`was valid until ${until.slice(0, 40)} only`)
  }
  const entityId = entity.getAttribute('entityID')
  if (!entityId) throw bad('names no entityID')
  const service = childrenOf(idp, 'SingleSignOnService').find((one) => one.getAttribute('Binding') === redirect)
  const ssoUrl = service?.getAttribute('Location')
  if (!ssoUrl) throw bad('has no SingleSignOnService for HTTP-Redirect')
  return { entityId, ssoUrl, certificates: certificatesIn(idp) }
}
