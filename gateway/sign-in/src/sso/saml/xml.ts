import { promisify } from 'node:util'
import { DOMParser } from '@xmldom/xmldom'
import { decrypt } from 'xml-encryption'
import { samlRefused } from './refusal.ts'

/**
 * What is looked at before a signature is: that the XML is nothing but elements, and that only algorithms which hold are in it,
 * in what is encrypted as well. Whether a signature fits, and what it covers, is node-saml's part.
 *
 * 1. No document type: so there are no entities to expand, and none to fetch.
 * 2. No SHA-1 in a signature or in the digest of what is signed.
 * 3. What is encrypted is neither under RSA PKCS#1 v1.5 nor under triple DES.
 */
export interface ReadResponse {
  readonly root: Element
}

const mostBytes = 256 * 1024
const signatures = 'http://www.w3.org/2000/09/xmldsig#'

const signatureMethods = new Set([
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',
  'http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1',
])
const digestMethods = new Set([
  'http://www.w3.org/2001/04/xmlenc#sha256',
  'http://www.w3.org/2001/04/xmldsig-more#sha384',
  'http://www.w3.org/2001/04/xmlenc#sha512',
])

/** @throws OmiumError `sso_assertion_refused` */
const parse = (xml: string): Element => {
  if (xml.length > mostBytes || /<!DOCTYPE|<!ENTITY/i.test(xml)) throw samlRefused('malformed')
  const fail = (message: string) => {
    throw samlRefused('malformed', new Error(message))
  }
  const { documentElement } = new DOMParser({
    errorHandler: { warning: fail, error: fail, fatalError: fail },
  }).parseFromString(xml, 'text/xml')
  if (!documentElement) throw samlRefused('malformed')
  return documentElement
}

const all = (root: Element, namespace: string, name: string): Element[] =>
  Array.from(root.getElementsByTagNameNS(namespace, name))

const checkAlgorithms = (root: Element): void => {
  const allowed = (elements: readonly Element[], methods: ReadonlySet<string>) =>
    elements.every((element) => methods.has(element.getAttribute('Algorithm') ?? ''))
  const digests = all(root, signatures, 'Reference').flatMap((reference) => all(reference, signatures, 'DigestMethod'))
  if (!allowed(all(root, signatures, 'SignatureMethod'), signatureMethods) || !allowed(digests, digestMethods))
    throw samlRefused('algorithm')
}

/**
 * Reads a response as it came, base64 in a form.
 * @param key that its assertion may be encrypted for, PEM
 * @throws OmiumError `sso_assertion_refused`
 */
export const readResponse = async (encoded: string, key: string): Promise<ReadResponse> => {
  const root = parse(Buffer.from(encoded, 'base64').toString('utf8'))
  if (root.localName !== 'Response') throw samlRefused('malformed')
  checkAlgorithms(root)
  for (const element of all(root, 'urn:oasis:names:tc:SAML:2.0:assertion', 'EncryptedAssertion')) {
    const inner = await promisify(decrypt)(element.toString(), {
      key,
      disallowDecryptionWithInsecureAlgorithm: true,
      warnInsecureAlgorithm: false,
    }).catch((cause: unknown) => {
      throw samlRefused('encryption', cause)
    })
    checkAlgorithms(parse(String(inner)))
  }
  return { root }
}
