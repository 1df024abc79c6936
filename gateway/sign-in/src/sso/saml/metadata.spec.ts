import { generateKeyPairSync } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { idpMetadataXml } from '../../testing.ts'
import { certificateView, signingCertificate } from './certificates.ts'
import { readIdpMetadata } from './metadata.ts'
import { createSamlKeyPair, type SamlKeyPair } from './self-signed.ts'

const nowMs = Date.parse('2026-06-01T00:00:00Z')
const plan = { entityId: 'https://idp.example', ssoUrl: 'https://idp.example/sso?a=1&b=2' }
let [old, next]: SamlKeyPair[] = []
beforeAll(async () => {
  ;[old, next] = await Promise.all([createSamlKeyPair('old', nowMs), createSamlKeyPair('next', nowMs)])
})
const xml = (changes: Partial<Parameters<typeof idpMetadataXml>[0]> = {}) =>
  idpMetadataXml({ ...plan, certificates: [old?.certificate ?? '', next?.certificate ?? ''], ...changes })
const problemOf = (text: string): string => {
  try {
    readIdpMetadata(text, nowMs)
    return 'taken'
  } catch (error) {
    expect(error).toMatchObject({ code: 'invalid_request' })
    return (error as Error).message
  }
}

describe('metadata of an identity provider', () => {
  it('says who it is, where requests go, and which keys sign', () => {
    const found = readIdpMetadata(`\uFEFF${xml()}`, nowMs)
    expect(found).toEqual({ ...plan, certificates: [old?.certificate, next?.certificate] })
    expect(found.certificates.map((pem) => certificateView(pem))).toMatchObject([
      { subject: 'CN=old', expiresAt: expect.stringMatching(/^2036-/) },
      { subject: 'CN=next' },
    ])
    const same = xml({ certificates: [old?.certificate ?? '', old?.certificate ?? ''] })
    expect(readIdpMetadata(same, nowMs).certificates).toHaveLength(1)
  })
  it('may be one in a file of several, of which one is an identity provider', () => {
    const one = xml().replace(/^<\?xml[^>]*>/, '')
    const service = '<EntityDescriptor entityID="x"><SPSSODescriptor/></EntityDescriptor>'
    const several = (inner: string) =>
      `<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">${inner}</EntitiesDescriptor>`
    expect(readIdpMetadata(several(service + one), nowMs).entityId).toBe(plan.entityId)
    expect(problemOf(several(one + one))).toContain('of 2 identity providers')
    expect(problemOf(several(service))).toContain('of 0 identity providers')
  })
  it('is refused with what is wrong with it', () => {
    const cases: readonly [string, string][] = [
      [`<!DOCTYPE x [<!ENTITY a "b">]>${xml()}`, 'cannot be read as XML'],
      ['no xml', 'cannot be read as XML'],
      ['<html/>', 'of 0 identity providers'],
      [xml().replace('SAML:2.0:protocol', 'SAML:1.1:protocol'), 'of 0 identity providers'],
      [xml().replaceAll('HTTP-Redirect', 'HTTP-POST'), 'no SingleSignOnService for HTTP-Redirect'],
      [xml().replace('entityID', 'name'), 'names no entityID'],
      [xml().replace('<EntityDescriptor', '<EntityDescriptor validUntil="2026-05-31T00:00:00Z"'), 'was valid until'],
      [xml().replace('<IDPSSODescriptor', '<IDPSSODescriptor validUntil="soon"'), 'was valid until'],
      [xml().replaceAll('use="signing"', 'use="encryption"'), 'no certificate to sign with'],
      [xml({ certificates: [] }), 'no certificate to sign with'],
      [xml({ certificates: ['AAAA'] }), 'no X.509 certificate'],
    ]
    for (const [text, problem] of cases) expect(problemOf(text)).toContain(problem)
    const valid = xml().replace('<EntityDescriptor', '<EntityDescriptor validUntil="2026-06-02T00:00:00Z"')
    expect(problemOf(valid)).toBe('taken')
  })
  it('gives no key that is none', () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    expect(() => signingCertificate(publicKey.export({ type: 'spki', format: 'pem' }).toString())).toThrow(RangeError)
  })
})
