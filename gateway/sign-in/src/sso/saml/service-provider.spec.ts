import { beforeAll, describe, expect, it } from 'vitest'
import { createSamlIdp, encodedResponse, type SamlAnswerPlan, type SamlIdp } from '../../testing.ts'
import { type ForgeXml, providerFor, reasonOf, roundTrip as thereAndBack } from './round-trip.ts'
import { createSamlKeyPair, type SamlKeyPair } from './self-signed.ts'
import type { ServiceProvider } from './service-provider.ts'

const person = { nameId: 'jane', attributes: { email: 'jane@corp.example', groups: ['dev', 'staff'] } }
const clock = { nowMs: Date.now() }
let idp: SamlIdp
let own: SamlKeyPair
let stranger: SamlKeyPair

let provider: ServiceProvider
beforeAll(async () => {
  idp = await createSamlIdp('https://idp.example')
  own = await createSamlKeyPair('sso_a', Date.now())
  stranger = await createSamlKeyPair('stranger', Date.now())
  provider = providerFor('sso_a', own, idp, { nowMs: () => clock.nowMs })
  clock.nowMs = Date.now()
})

const roundTrip = (changes: Partial<SamlAnswerPlan> = {}, forge?: ForgeXml) =>
  thereAndBack(provider, idp, person, changes, forge)

describe('a SAML connection', () => {
  it('signs its requests, and takes the signed answer', async () => {
    const answer = await roundTrip()
    expect(answer).toMatchObject({ nameId: 'jane', transient: false })
    expect(answer.attributes.get('groups')).toEqual(['dev', 'staff'])
    expect(answer.expiresAt).toBeGreaterThan(clock.nowMs + 300_000)
    const { url } = await provider.begin(true)
    expect(url.searchParams.get('SigAlg')).toContain('rsa-sha256')
    expect(await idp.read(url, own.certificate)).toMatchObject({ issuer: provider.entityId, acsUrl: provider.acsUrl })
    await expect(idp.read((await provider.begin(false)).url, stranger.certificate)).rejects.toBeDefined()
  })
  it('takes a signed response around a signed assertion, and an encrypted one', async () => {
    expect(await reasonOf(roundTrip({ signResponse: true }))).toBe('taken')
    expect(await reasonOf(roundTrip({ encryptedFor: own.certificate }))).toBe('taken')
    const cbc = 'http://www.w3.org/2001/04/xmlenc#aes256-cbc'
    expect(await reasonOf(roundTrip({ encryptedFor: own.certificate, encryptionAlgorithm: cbc }))).toBe('taken')
  })
  it('describes itself to the identity provider', () => {
    const metadata = provider.metadata()
    expect(metadata).toContain(`entityID="${provider.entityId}"`)
    expect(metadata).toContain(`Location="${provider.acsUrl}"`)
    expect(metadata).toMatch(/WantAssertionsSigned="true"/)
    expect(metadata).toMatch(/AuthnRequestsSigned="true"/)
    expect(metadata.match(/X509Certificate/g)?.length).toBe(4)
  })

  const plans: readonly [string, string, () => Partial<SamlAnswerPlan>][] = [
    ['no signature', 'signature', () => ({ signAssertion: false })],
    ['a signature of the response only', 'signature', () => ({ signAssertion: false, signResponse: true })],
    ['a signature of another key', 'signature', () => ({ keys: { ...stranger, key: own.key } })],
    ['SHA-1 in the signature', 'algorithm', () => ({ signatureAlgorithm: 'rsa-sha1' })],
    ['SHA-1 in the digest', 'algorithm', () => ({ digestAlgorithm: 'sha1' })],
    [
      'SHA-1 inside of what is encrypted',
      'algorithm',
      () => ({ signatureAlgorithm: 'rsa-sha1', encryptedFor: own.certificate }),
    ],
    [
      'no signature inside of what is encrypted',
      'signature',
      () => ({ signAssertion: false, encryptedFor: own.certificate }),
    ],
    ['encryption for somebody else', 'encryption', () => ({ encryptedFor: stranger.certificate })],
    [
      'triple DES',
      'encryption',
      () => ({ encryptedFor: own.certificate, encryptionAlgorithm: 'http://www.w3.org/2001/04/xmlenc#tripledes-cbc' }),
    ],
    ['another issuer', 'issuer', () => ({ issuer: 'https://evil.example' })],
    ['another audience', 'audience', () => ({ audience: 'https://omium.example/auth/saml/sso_b/metadata' })],
    ['another recipient', 'recipient', () => ({ recipient: 'https://omium.example/auth/saml/sso_b/acs' })],
    ['another destination', 'destination', () => ({ destination: 'https://evil.example/acs' })],
    ['a time that is over', 'expired', () => ({ lifetimeInSeconds: -180 })],
    ['no question that it answers', 'in_response_to', () => ({ inResponseTo: undefined })],
    ['the answer to another question', 'in_response_to', () => ({ inResponseTo: '_other' })],
  ]
  it.each(plans)('refuses %s: %s', async (_what, reason, changes) => {
    expect(await reasonOf(roundTrip(changes()))).toBe(reason)
  })
  it('allows clocks to be a minute apart, and no more', async () => {
    expect(await reasonOf(roundTrip({ lifetimeInSeconds: -55 }))).toBe('taken')
    clock.nowMs -= 90_000
    expect(await reasonOf(roundTrip())).toBe('not_yet_valid')
    clock.nowMs += 90_000
  })

  const assertionOf = (xml: string): string => /<saml:Assertion[\s\S]*<\/saml:Assertion>/.exec(xml)?.[0] ?? ''
  const forgeries: readonly [string, string, (xml: string) => string][] = [
    ['changed after signing', 'signature', (xml) => xml.replace('jane@corp.example', 'root@corp.example')],
    [
      'an attribute added',
      'signature',
      (xml) =>
        xml.replace(
          '</saml:AttributeStatement>',
          '<saml:Attribute Name="groups"><saml:AttributeValue>admin</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>',
        ),
    ],
    [
      'a recipient put in',
      'signature',
      (xml) => xml.replace('/acs" ', '/acs" x="y" ').replace(/Recipient="[^"]*"/, 'Recipient="https://evil.example"'),
    ],
    [
      'two assertions',
      'signature',
      (xml) => xml.replace(assertionOf(xml), assertionOf(xml) + assertionOf(xml).replace(/ID="_[^"]*"/, 'ID="_evil"')),
    ],
    ['entities', 'malformed', (xml) => `<!DOCTYPE x [<!ENTITY a "aaaa">]>${xml.replace('jane@corp.example', '&a;')}`],
    ['an outer entity', 'malformed', (xml) => `<!DOCTYPE x SYSTEM "file:///etc/passwd">${xml}`],
    ['what is no XML', 'malformed', () => 'no xml at all'],
    ['half of it', 'malformed', (xml) => xml.slice(0, xml.length / 2)],
    ['another document', 'malformed', () => '<html/>'],
    ['no assertion', 'signature', (xml) => xml.replace(assertionOf(xml), '')],
    [
      'too much of it',
      'malformed',
      (xml) => xml.replace('</samlp:Response>', `${' '.repeat(300_000)}</samlp:Response>`),
    ],
  ]
  it.each(forgeries)('refuses: %s: %s', async (_what, reason, forge) => {
    expect(await reasonOf(roundTrip({}, forge))).toBe(reason)
  })
  it('takes no assertion that is for another connection', async () => {
    const other = providerFor('sso_b', own, idp)
    const { url, requestId } = await other.begin(false)
    const xml = await idp.answer(await idp.read(url, own.certificate), person)
    expect(await reasonOf(provider.finish(encodedResponse(xml), requestId))).toBe('destination')
    const plain = xml.replace(/Destination="[^"]*"/, '')
    expect(await reasonOf(provider.finish(encodedResponse(plain), requestId))).toBe('recipient')
  })
  it('says so when the identity provider refuses', async () => {
    const failed = (xml: string) => xml.replace(assertionOf(xml), '').replace('status:Success', 'status:AuthnFailed')
    expect(await reasonOf(roundTrip({}, failed))).toBe('status')
  })
})
