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
 * 4. It is bounded before it is parsed: nested declarations of namespaces and long lists of attributes cost the parser time that
 *    grows with their square, and anybody may send a response.
 */
export interface ReadResponse {
  readonly root: Element
}

const mostBytes = 256 * 1024
/** of a thousand groups, each with its type and namespaces, there are 6,000 */
const mostMarks = 16_000
const mostNamespaces = 2_000
const deepest = 100
export const signatures = 'http://www.w3.org/2000/09/xmldsig#'

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

/** XML that is nothing but elements. @throws SyntaxError */
export const parseXml = (xml: string): Element => {
  if (xml.length > mostBytes) throw new SyntaxError(`more than ${mostBytes} characters`)
  const count = (pattern: RegExp) => xml.match(pattern)?.length ?? 0
  if (count(/[<=]/g) > mostMarks || count(/xmlns/g) > mostNamespaces) throw new SyntaxError('there is too much in it')
  if (/<!DOCTYPE|<!ENTITY/i.test(xml)) throw new SyntaxError('a document type is not taken')
  const fail = (message: string) => {
    throw new SyntaxError(message)
  }
  const { documentElement } = new DOMParser({
    errorHandler: { warning: fail, error: fail, fatalError: fail },
  }).parseFromString(xml, 'text/xml')
  if (!documentElement) throw new SyntaxError('there is no element')
  if (isDeep(documentElement)) throw new SyntaxError(`elements are nested deeper than ${deepest}`)
  return documentElement
}

const isDeep = (root: Node): boolean => {
  let depth = 0
  for (let node: Node | null = root; node && depth <= deepest; ) {
    if (node.firstChild) {
      node = node.firstChild
      depth++
      continue
    }
    while (node && node !== root && !node.nextSibling) {
      node = node.parentNode
      depth--
    }
    node = node === root ? null : (node?.nextSibling ?? null)
  }
  return depth > deepest
}

/** @throws OmiumError `sso_assertion_refused` */
const parse = (xml: string): Element => {
  try {
    return parseXml(xml)
  } catch (cause) {
    throw samlRefused('malformed', cause)
  }
}

export const allOf = (root: Element, namespace: string, name: string): Element[] =>
  Array.from(root.getElementsByTagNameNS(namespace, name))

const checkAlgorithms = (root: Element): void => {
  const allowed = (elements: readonly Element[], methods: ReadonlySet<string>) =>
    elements.every((element) => methods.has(element.getAttribute('Algorithm') ?? ''))
  const digests = allOf(root, signatures, 'Reference').flatMap((reference) =>
    allOf(reference, signatures, 'DigestMethod'),
  )
  if (!allowed(allOf(root, signatures, 'SignatureMethod'), signatureMethods) || !allowed(digests, digestMethods))
    throw samlRefused('algorithm')
}

const decoded = (encoded: string): Element => parse(Buffer.from(encoded, 'base64').toString('utf8'))

/**
 * Whether a response says itself that nobody asked for it, before anything else of it is looked at.
 * @throws OmiumError `sso_assertion_refused`
 */
export const isUnsolicited = (encoded: string): boolean => !decoded(encoded).getAttribute('InResponseTo')

/**
 * Reads a response as it came, base64 in a form.
 * @param key that its assertion may be encrypted for, PEM
 * @throws OmiumError `sso_assertion_refused`
 */
export const readResponse = async (encoded: string, key: string): Promise<ReadResponse> => {
  const root = decoded(encoded)
  if (root.localName !== 'Response') throw samlRefused('malformed')
  checkAlgorithms(root)
  for (const element of allOf(root, 'urn:oasis:names:tc:SAML:2.0:assertion', 'EncryptedAssertion')) {
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
