import { describe, expect, it } from 'vitest'
import { scriptedGateway } from './testing.ts'

const at = '2026-01-01T00:00:00.000Z'
const receipt = { id: 'sso_1', position: '0:1', deduplicated: false }
const connection = {
  id: 'sso_1',
  name: 'Keycloak',
  status: 'active',
  domains: [
    { domain: 'a.example', verified: true },
    { domain: 'b.example', verified: false },
  ],
  settings: {
    kind: 'oidc',
    issuer: 'https://idp.example',
    clientId: 'omium',
    hasSecret: true,
    scopes: ['openid'],
    redirectUri: 'https://omium.example/auth/sso/callback',
  },
  rules: [],
  createdAt: at,
  changedAt: at,
  lastTest: { at, outcome: 'ok' },
}
const saml = {
  kind: 'saml',
  entityId: 'idp',
  ssoUrl: 'https://idp.example/sso',
  certificates: [],
  idpInitiated: false,
  serviceProvider: {
    entityId: 'urn:omium',
    acsUrl: 'https://omium.example/acs',
    metadataUrl: 'https://omium.example/metadata',
    certificate: 'x',
  },
}
const record = { type: 'TXT', name: '_omium.a.example', value: 'omium-verification=t' }

describe('omium sso', () => {
  const { answers, asked, lines, omium, run } = scriptedGateway()

  it('lists and shows connections', async () => {
    answers['GET /v1/sso/connections'] = { items: [connection] }
    answers['GET /v1/sso/connections/sso_1'] = connection
    expect(await omium('sso', 'ls')).toBe(0)
    expect(lines.out.join('\n').split('\n')[1]).toBe(
      `sso_1  Keycloak  oidc  active  a.example, b.example (not verified)  -                   ok ${at}`,
    )
    expect(await omium('sso', 'show', 'sso_1', '--json')).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual(connection)
    expect(await omium('sso', 'show', 'sso_2')).toBe(4)
  })

  it('creates a connection from standard input, and says what its provider has to be told', async () => {
    const body = { name: 'Keycloak', settings: { kind: 'oidc', clientSecret: 'hidden' } }
    answers['POST /v1/sso/connections'] = receipt
    answers['GET /v1/sso/connections/sso_1'] = connection
    expect(await run(['sso', 'create', '-'], { stdin: JSON.stringify(body) })).toBe(0)
    expect(lines.out).toEqual(['sso_1\nredirect address  https://omium.example/auth/sso/callback'])
    expect(asked[0]?.body).toEqual(body)
    answers['GET /v1/sso/connections/sso_1'] = { ...connection, settings: saml }
    expect(await run(['sso', 'create', '-'], { stdin: '{}' })).toBe(0)
    expect(lines.out[0]).toMatch(/metadata +https.*metadata\nentity id +urn:omium\nanswers to +https.*acs$/)
    expect(await run(['sso', 'create', '-'], { stdin: '{' })).toBe(2)
  })

  const found = {
    entityId: 'idp',
    ssoUrl: 'https://idp.example/sso',
    certificates: [{ pem: 'new', subject: 'CN=idp\nO=Corp', expiresAt: at }],
  }
  it('reads what metadata says, from an address or a file, and connects with it', async () => {
    answers['POST /v1/sso/metadata'] = found
    expect(await omium('sso', 'metadata', 'https://idp.example/metadata')).toBe(0)
    expect(asked[0]?.body).toEqual({ url: 'https://idp.example/metadata' })
    expect(lines.out[0]).toBe(
      `entity id    idp\nrequests to  https://idp.example/sso\ncertificate  CN=idp, O=Corp until ${at}`,
    )
    answers['POST /v1/sso/connections'] = receipt
    answers['GET /v1/sso/connections/sso_1'] = { ...connection, settings: saml }
    const create = ['sso', 'create', '{"name":"Corp","settings":{"idpInitiated":true}}', '--metadata', '-']
    expect(await run(create, { stdin: '<EntityDescriptor/>' })).toBe(0)
    expect(asked[1]?.body).toEqual({ xml: '<EntityDescriptor/>' })
    expect(asked[2]?.body).toEqual({
      name: 'Corp',
      settings: {
        kind: 'saml',
        entityId: 'idp',
        ssoUrl: 'https://idp.example/sso',
        certificates: ['new'],
        idpInitiated: true,
      },
    })
    expect(await run(['sso', 'create', '-', '--metadata', '-'], { stdin: '{}' })).toBe(2)
  })

  it('adds the certificates of metadata to those that a connection has, until they are replaced', async () => {
    const old = { pem: 'old', subject: 'CN=idp', expiresAt: at }
    answers['POST /v1/sso/metadata'] = found
    answers['GET /v1/sso/connections/sso_1'] = { ...connection, settings: { ...saml, certificates: [old] } }
    answers['PUT /v1/sso/connections/sso_1'] = receipt
    const renew = async (...more: string[]) => {
      expect(await omium('sso', 'renew', 'sso_1', 'https://idp.example/metadata', ...more)).toBe(0)
      return asked.at(-1)?.body
    }
    expect(await renew()).toEqual({
      name: 'Keycloak',
      domains: ['a.example', 'b.example'],
      settings: {
        kind: 'saml',
        entityId: 'idp',
        ssoUrl: 'https://idp.example/sso',
        certificates: ['new', 'old'],
        idpInitiated: false,
      },
      rules: [],
    })
    expect(lines.out).toEqual(['sso_1 takes 2 certificate(s)'])
    expect(await renew('--replace')).toMatchObject({ settings: { certificates: ['new'] } })
    answers['POST /v1/sso/metadata'] = { ...found, entityId: 'other' }
    expect(await omium('sso', 'renew', 'sso_1', 'https://idp.example/metadata')).toBe(2)
    answers['GET /v1/sso/connections/sso_1'] = connection
    expect(await omium('sso', 'renew', 'sso_1', 'https://idp.example/metadata')).toBe(2)
  })

  it.each([
    [['change', 'sso_1', '{"name":"x"}'], 'PUT /v1/sso/connections/sso_1', { name: 'x' }, 'sso_1 is changed'],
    [['activate', 'sso_1'], 'POST /v1/sso/connections/sso_1/activate', undefined, 'sso_1 is active'],
    [['disable', 'sso_1'], 'POST /v1/sso/connections/sso_1/disable', undefined, 'sso_1 is disabled'],
    [['rm', 'sso_1'], 'DELETE /v1/sso/connections/sso_1', undefined, 'sso_1 is deleted'],
    [['require', 'on'], 'PUT /v1/sso/policy', { required: true }, 'SSO is the only way in'],
    [['require', 'off'], 'PUT /v1/sso/policy', { required: false }, 'there are other ways in'],
    [['domains', 'verify', 'a.example'], 'POST /v1/domains/a.example/verify', undefined, 'a.example is yours'],
    [['domains', 'rm', 'a.example'], 'DELETE /v1/domains/a.example', undefined, 'a.example is given back'],
  ])('%j asks for %s', async (argv, request, body, said) => {
    answers[request] = receipt
    expect(await omium('sso', ...argv)).toBe(0)
    expect(asked).toMatchObject([{ request, ...(body && { body }) }])
    expect(lines.out).toEqual([said])
    expect(await omium('sso', ...argv, '--json')).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual(receipt)
  })

  it('prints where to try a connection, and nothing else on standard output', async () => {
    answers['POST /v1/sso/connections/sso_1/test'] = { url: 'https://omium.example/try', expiresAt: at }
    expect(await omium('sso', 'test', 'sso_1')).toBe(0)
    expect(lines.out).toEqual(['https://omium.example/try'])
    expect(lines.err[0]).toContain('within ten minutes')
  })

  it('claims domains and lists them', async () => {
    answers['POST /v1/domains'] = { ...receipt, record }
    expect(await omium('sso', 'domains', 'claim', 'a.example')).toBe(0)
    expect(lines.out).toEqual(['omium-verification=t'])
    expect(lines.err[0]).toContain('TXT record at _omium.a.example')
    answers['GET /v1/domains'] = { items: [{ domain: 'a.example', status: 'pending', record, claimedAt: at }] }
    expect(await omium('sso', 'domains', 'ls')).toBe(0)
    expect(lines.out.join('\n')).toContain(`a.example  pending  ${at}  omium-verification=t`)
  })

  it('takes on or off for the policy', async () => {
    expect(await omium('sso', 'require', 'maybe')).toBe(2)
    expect(asked).toEqual([])
  })
})
