import { createHmac } from 'node:crypto'
import { DOMParser } from '@xmldom/xmldom'
import { beforeAll, describe, expect, it } from 'vitest'
import { createSamlIdp, encodedResponse, type SamlAnswerPlan, type SamlIdp } from '../../testing.ts'
import { type ForgeXml, providerFor, reasonOf, roundTrip } from './round-trip.ts'
import { createSamlKeyPair, type SamlKeyPair } from './self-signed.ts'
import type { ServiceProvider } from './service-provider.ts'

/** What is known to have opened doors elsewhere: signature wrapping (XSW1 to XSW8), canonicalization, algorithm confusion. */

const mark = 'jane@corp.example'
const evilMark = 'root@corp.example'
const jane = { nameId: mark, attributes: { email: mark } }
let idp: SamlIdp
let own: SamlKeyPair
let provider: ServiceProvider
beforeAll(async () => {
  idp = await createSamlIdp('https://idp.example')
  own = await createSamlKeyPair('sso_a', Date.now())
  provider = providerFor('sso_a', own, idp)
})

/** Whom it signs in, or why nobody. */
const outcome = (changes: Partial<SamlAnswerPlan>, forge: ForgeXml): Promise<unknown> =>
  reasonOf(
    roundTrip(provider, idp, jane, changes, forge).then(({ nameId, attributes }) => {
      throw new Error(`${nameId} ${attributes.get('email')}`)
    }),
  )
const asJane = `Error: ${mark} ${mark}`

interface Parts {
  readonly document: Document
  readonly response: Element
  readonly assertion: Element
}
const partsOf = (xml: string): Parts => {
  const document = new DOMParser().parseFromString(xml, 'text/xml')
  const response = document.documentElement
  return { document, response, assertion: childOf(response, 'Assertion') }
}
const childOf = (parent: Element, name: string): Element => {
  const found = Array.from(parent.childNodes).find((node) => (node as Element).localName === name)
  if (!found) throw new Error(`no ${name} in ${parent.localName}`)
  return found as Element
}
/** A copy that says who the attacker wants to be, under an id of its own. */
const evilCopy = (element: Element): Element => {
  const text = element.toString().replaceAll(mark, evilMark)
  const copy = partsOfAny(text)
  copy.setAttribute('ID', '_evil')
  return copy
}
const partsOfAny = (xml: string): Element => new DOMParser().parseFromString(xml, 'text/xml').documentElement
const withoutSignature = (element: Element): Element => {
  const copy = element.cloneNode(true) as Element
  copy.removeChild(childOf(copy, 'Signature'))
  return copy
}
const forged =
  (wrap: (parts: Parts) => Element): ForgeXml =>
  (xml) =>
    wrap(partsOf(xml)).toString()

describe('signature wrapping', () => {
  const variants: readonly [string, unknown, (parts: Parts) => Element][] = [
    [
      '1: a forged response, the signed one inside of its signature',
      'signature',
      ({ response }) => {
        const evil = evilCopy(response)
        childOf(evil, 'Signature').appendChild(withoutSignature(response))
        return evil
      },
    ],
    [
      '2: a forged response, the signed one beside its signature',
      'signature',
      ({ response }) => {
        const evil = evilCopy(response)
        evil.insertBefore(withoutSignature(response), childOf(evil, 'Signature'))
        return evil
      },
    ],
    [
      '3: a forged assertion before the signed one',
      'signature',
      ({ response, assertion }) => {
        response.insertBefore(withoutSignature(evilCopy(assertion)), assertion)
        return response
      },
    ],
    [
      '4: a forged assertion around the signed one',
      'signature',
      ({ response, assertion }) => {
        const evil = withoutSignature(evilCopy(assertion))
        response.replaceChild(evil, assertion)
        evil.appendChild(assertion)
        return response
      },
    ],
    [
      '5: the signature moved into a forged assertion, the signed one behind it',
      'signature',
      ({ response, assertion }) => {
        response.replaceChild(evilCopy(assertion), assertion)
        response.appendChild(withoutSignature(assertion))
        return response
      },
    ],
    [
      '6: the signature moved into a forged assertion, the signed one inside of it',
      'signature',
      ({ response, assertion }) => {
        const evil = evilCopy(assertion)
        childOf(evil, 'Signature').appendChild(withoutSignature(assertion))
        response.replaceChild(evil, assertion)
        return response
      },
    ],
    [
      '7: a forged assertion in extensions, the signed one where it was',
      asJane,
      ({ document, response, assertion }) => {
        const extensions = document.createElementNS('urn:oasis:names:tc:SAML:2.0:protocol', 'samlp:Extensions')
        extensions.appendChild(withoutSignature(evilCopy(assertion)))
        response.insertBefore(extensions, assertion)
        return response
      },
    ],
    [
      '7, turned around: the signed one in extensions',
      'signature',
      ({ document, response, assertion }) => {
        const extensions = document.createElementNS('urn:oasis:names:tc:SAML:2.0:protocol', 'samlp:Extensions')
        response.replaceChild(withoutSignature(evilCopy(assertion)), assertion)
        extensions.appendChild(assertion)
        response.insertBefore(extensions, response.firstChild)
        return response
      },
    ],
    [
      '8: the signature moved into a forged assertion, the signed one as its object',
      'signature',
      ({ document, response, assertion }) => {
        const evil = evilCopy(assertion)
        const object = document.createElementNS('http://www.w3.org/2000/09/xmldsig#', 'Object')
        object.appendChild(withoutSignature(assertion))
        childOf(evil, 'Signature').appendChild(object)
        response.replaceChild(evil, assertion)
        return response
      },
    ],
    [
      'with the id of the signed one twice',
      'signature',
      ({ response, assertion }) => {
        const evil = evilCopy(assertion)
        evil.setAttribute('ID', assertion.getAttribute('ID') ?? '')
        response.insertBefore(evil, assertion)
        return response
      },
    ],
  ]
  it.each(variants)('%s', async (what, expected, wrap) => {
    for (const signResponse of /^[12]/.test(what) ? [true] : [false, true]) {
      const told = await outcome({ signResponse, signAssertion: true }, forged(wrap))
      expect(told).not.toContain(evilMark)
      expect(told).toBe(expected)
    }
  })
  it('is what is refused, and not how a document is written', async () => {
    expect(
      await outcome(
        { signResponse: true },
        forged(({ response }) => response),
      ),
    ).toBe(asJane)
  })
  it('around a signed response with an assertion that is not signed', async () => {
    for (const [, , wrap] of variants.slice(0, 2))
      expect(await outcome({ signResponse: true, signAssertion: false }, forged(wrap))).toBe('signature')
  })
})

describe('a name', () => {
  const asNameId = (nameId: string, forge: ForgeXml = (xml) => xml) =>
    roundTrip(provider, idp, { nameId, attributes: {} }, {}, forge).then((answer) => answer.nameId)
  const long = `${mark}.evil.example`

  it('is the whole text that was signed, whatever comments or sections were put into it', async () => {
    for (const inserted of ['<!-- -->', '<!---->', '<![CDATA[]]>'])
      expect(await asNameId(long, (xml) => xml.replace(long, `${mark}${inserted}.evil.example`))).toBe(long)
  })
  it('holds no instructions and no entities', async () => {
    for (const inserted of ['<?x y?>', '&#8203;'])
      expect(
        await reasonOf(asNameId(long, (xml) => xml.replace(long, `${mark}${inserted}.evil.example`))),
        inserted,
      ).toBe('signature')
    expect(await reasonOf(asNameId(long, (xml) => xml.replace(long, `${mark}&x;.evil.example`)))).toBe('malformed')
  })
})

describe('a signature', () => {
  const hmac = 'http://www.w3.org/2001/04/xmldsig-more#hmac-sha256'
  const rsa = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256'
  const cases: readonly [string, unknown, Partial<SamlAnswerPlan>, ForgeXml][] = [
    [
      'made with the public certificate as a shared secret',
      'algorithm',
      {},
      (xml) => {
        const signedInfo = /<SignedInfo>[\s\S]*<\/SignedInfo>/.exec(xml)?.[0] ?? ''
        const changed = signedInfo.replace(rsa, hmac)
        const value = createHmac('sha256', idp.keys.certificate).update(changed).digest('base64')
        return xml.replace(signedInfo, changed).replace(/(<SignatureValue>)[^<]*/, `$1${value}`)
      },
    ],
    ['without a value', 'signature', {}, (xml) => xml.replace(/(<SignatureValue>)[^<]*/, '$1')],
    [
      'with a second set of digests that nobody signed',
      'signature',
      {},
      (xml) => {
        const signedInfo = /<SignedInfo>[\s\S]*<\/SignedInfo>/.exec(xml)?.[0] ?? ''
        return xml.replace(signedInfo, signedInfo + signedInfo).replaceAll(mark, evilMark)
      },
    ],
    [
      'whose digest hides another in a comment',
      'signature',
      {},
      (xml) => xml.replace(/<DigestValue>/, '<DigestValue><!--AAAA-->').replaceAll(mark, evilMark),
    ],
    [
      'of a transformation that leaves nothing to sign',
      'signature',
      {},
      (xml) =>
        xml.replace(
          'http://www.w3.org/2000/09/xmldsig#enveloped-signature',
          'http://www.w3.org/TR/1999/REC-xslt-19991116',
        ),
    ],
    ['of the whole document', 'signature', {}, (xml) => xml.replace(/<Reference URI="[^"]*"/, '<Reference URI=""')],
    [
      'of another document',
      'signature',
      {},
      (xml) => xml.replace(/<Reference URI="[^"]*"/, '<Reference URI="https://evil.example/x"'),
    ],
    [
      'with a bracket in the id that it is of',
      'signature',
      {},
      (xml) => xml.replace(/<Reference URI="#[^"]*"/, `<Reference URI="#x' or '1'='1"`),
    ],
  ]
  it.each(cases)('%s is refused: %s', async (_what, reason, changes, forge) => {
    expect(await outcome(changes, forge)).toBe(reason)
  })
  it('by a key that the answer brings along is none', async () => {
    const stranger = await createSamlKeyPair('stranger', Date.now())
    expect(await outcome({ keys: stranger }, (xml) => xml)).toBe('signature')
    expect(await outcome({ keys: stranger, encryptedFor: own.certificate }, (xml) => xml)).toBe('signature')
  })
  it('of either certificate counts while a provider replaces one, and of none that was taken away', async () => {
    const next = await createSamlKeyPair('idp', Date.now())
    const both = providerFor('sso_a', own, idp, { certificates: [idp.keys.certificate, next.certificate] })
    for (const keys of [idp.keys, next]) expect((await roundTrip(both, idp, jane, { keys })).nameId).toBe(mark)
    const after = providerFor('sso_a', own, idp, { certificates: [next.certificate] })
    expect(await reasonOf(roundTrip(after, idp, jane))).toBe('signature')
    expect(await reasonOf(roundTrip(after, idp, jane, { keys: next }))).toBe('taken')
  })
})

describe('a document', () => {
  const finish = async (bytes: (xml: string) => Buffer) => {
    const { requestId } = await provider.begin(false)
    const xml = await idp.answer({ id: requestId, issuer: provider.entityId, acsUrl: provider.acsUrl }, jane)
    return reasonOf(provider.finish(bytes(xml).toString('base64'), requestId))
  }
  it('costs a bounded time, however it is built', async () => {
    const nested = (open: (n: number) => string, count: number) =>
      Array.from({ length: count }, (_, n) => open(n)).join('') + '</a>'.repeat(count)
    const bombs: Record<string, string> = {
      namespaces: nested((n) => `<a xmlns:b${n}="u">`, 9_000),
      depth: nested(() => '<a>', 7_000),
      attributes: `<a ${Array.from({ length: 20_000 }, (_, n) => `a${n}=""`).join(' ')}/>`,
      elements: `<a>${'<b/>'.repeat(30_000)}</a>`,
    }
    for (const [name, bomb] of Object.entries(bombs))
      expect(await finish((xml) => Buffer.from(xml.replace('</samlp:Response>', `${bomb}$&`))), name).toBe('malformed')
    const groups = Array.from({ length: 1_000 }, (_, n) => `group-${n}`)
    const many = await roundTrip(provider, idp, { nameId: mark, attributes: { groups } })
    expect(many.attributes.get('groups')).toHaveLength(1_000)
  })
  it('is UTF-8 without a type of its own, so that nothing expands and nothing is fetched', async () => {
    const entities = '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">'
    for (const type of [
      `<!DOCTYPE x [${entities}]>`,
      '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x.dtd"> %p;]>',
      '<!doctype x SYSTEM "file:///etc/passwd">',
      '<!DOCTYPE samlp:Response>',
    ])
      expect(await finish((xml) => Buffer.from(type + xml.replaceAll(mark, '&c;'))), type).toBe('malformed')
    expect(await finish((xml) => Buffer.from(xml, 'utf16le'))).toBe('malformed')
    expect(await finish((xml) => Buffer.from(xml))).toBe('taken')
    expect(await reasonOf(provider.finish(encodedResponse(''), '_x'))).toBe('malformed')
  })
})
