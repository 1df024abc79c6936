import { eventually } from '@omium/dev/testing'
import { encodedResponse, type SamlAnswerPlan, type SamlPerson } from '@omium/sign-in/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from './browser.ts'
import { ssoAttacks } from './sso-attacks.ts'
import { type Connection, codeOf, json, patience, type SsoWorld, ssoFlows, startOf } from './sso-flows.ts'
import { idpMetadata } from './sso-metadata.ts'
import { ssoOnly } from './sso-only.ts'
import { startSsoWorld } from './sso-world.ts'

let world: SsoWorld
const flows = ssoFlows(() => world)
const { at, whoami, as, signInByMail, claimDomain, samlBody, connect, request, post, viaSaml, signInBySaml } = flows
beforeAll(async () => {
  world = await startSsoWorld()
  await claimDomain('corp.example')
}, 240_000)
afterAll(() => world?.close())

const jane: SamlPerson = { nameId: 'jane', attributes: { email: 'jane@corp.example', groups: ['developers'] } }

describe('a domain', () => {
  it('is claimed with a record in its DNS, by whoever controls that', async () => {
    const claimed = await world.call('POST', '/v1/domains', { domain: 'First.Example' })
    expect(claimed.status).toBe(201)
    expect(claimed.body.record).toMatchObject({ type: 'TXT', name: 'first.example' })
    const verify = () => world.call('POST', '/v1/domains/first.example/verify')
    expect((await verify()).body.code).toBe('domain_unverified')
    world.dns.records.set('first.example', ['omium-verification=somebody-elses'])
    expect((await verify()).body.code).toBe('domain_unverified')
    // claimed again it keeps its token
    expect((await world.call('POST', '/v1/domains', { domain: 'first.example' })).body.record).toEqual(
      claimed.body.record,
    )
    world.dns.records.set('first.example', [claimed.body.record.value])
    expect((await verify()).status).toBe(200)
    expect((await world.call('GET', '/v1/domains/first.example')).body.status).toBe('verified')
    expect((await world.call('GET', '/v1/domains')).body.items).toHaveLength(2)
  })
  it("of public mail, or without a dot, is nobody's", async () => {
    expect((await world.call('POST', '/v1/domains', { domain: 'gmail.com' })).body.code).toBe('domain_refused')
    for (const domain of ['localhost', 'a b.com', '127.0.0.1', 'x..com', '-a.com'])
      expect((await world.call('POST', '/v1/domains', { domain })).body.code).toBe('invalid_request')
    expect((await world.call('POST', '/v1/domains/other.example/verify')).body.code).toBe('domain_unknown')
  })
  it('belongs to one tenant, and tells others nothing', async () => {
    const stranger = new Browser()
    await signInByMail(stranger, 'stranger@other.example')
    const call = (method: string, path: string, body?: unknown) => world.call(method, path, body, as(stranger))
    expect((await call('GET', '/v1/domains/corp.example')).status).toBe(404)
    const claimed = await call('POST', '/v1/domains', { domain: 'corp.example' })
    expect(claimed.status).toBe(201)
    world.dns.records.get('corp.example')?.push(claimed.body.record.value)
    expect((await call('POST', '/v1/domains/corp.example/verify')).body.code).toBe('domain_taken')
    expect((await call('DELETE', '/v1/domains/corp.example')).status).toBe(200)
    expect((await world.call('GET', '/v1/domains/corp.example')).body.status).toBe('verified')
  })
})

describe('a SAML connection', () => {
  let connection: Connection
  beforeAll(async () => {
    connection = await connect(samlBody())
  })

  it('shows no secret, and its metadata to everybody', async () => {
    expect(connection).toMatchObject({ status: 'active', domains: [{ domain: 'corp.example', verified: true }] })
    expect(JSON.stringify(connection)).not.toMatch(/PRIVATE KEY|v1\.sso_/)
    const metadata = await fetch(connection.settings.serviceProvider.metadataUrl)
    expect(metadata.headers.get('content-type')).toContain('samlmetadata+xml')
    expect(await metadata.text()).toContain(connection.settings.serviceProvider.acsUrl)
  })
  it('is where an address of its domain leads, whoever has it', async () => {
    const browser = new Browser()
    const page = (email: string) => browser.visit(at('/auth/sign-in'), { form: { email } })
    for (const email of ['jane@corp.example', 'nobody-at-all@CORP.example'])
      expect((await page(email)).text).toContain(`0;url=${startOf(connection)}`)
    expect((await page('jane@sub.corp.example')).text).toContain('Check your mail')
    const asked = await browser.visit(at('/auth/sign-in'), { form: { email: 'x@corp.example' }, headers: json })
    expect(JSON.parse(asked.text).url).toContain(startOf(connection))
  })
  it('makes members, with the role that its rules give, each time', async () => {
    const browser = new Browser()
    const me = await signInBySaml(browser, connection, jane)
    expect(me).toMatchObject({ email: 'jane@corp.example', tenant: 'ten_local' })
    // no tenant of their own: the company brought them
    expect(me.memberships).toMatchObject([{ tenant: 'ten_local', name: 'Local', role: 'developer' }])
    expect((await world.call('GET', '/v1/me', undefined, as(browser))).body).toMatchObject({ role: 'developer' })
    const again = await signInBySaml(new Browser(), connection, {
      ...jane,
      attributes: { email: 'jane@corp.example', groups: ['others'] },
    })
    expect(again.userId).toBe(me.userId)
    // the default role is for the first time only
    expect(again.memberships).toMatchObject([{ role: 'developer' }])
    const changed = samlBody({ rules: [{ attribute: 'groups', value: 'developers', role: 'operator' }] })
    expect((await world.call('PUT', `/v1/sso/connections/${connection.id}`, changed)).status).toBe(200)
    expect((await signInBySaml(new Browser(), connection, jane)).memberships).toMatchObject([{ role: 'operator' }])
    await world.call('PUT', `/v1/sso/connections/${connection.id}`, samlBody())
  })
  it('takes over who has the address already', async () => {
    const browser = new Browser()
    const before = await signInByMail(browser, 'kim@corp.example')
    const kim = { nameId: 'kim-17', attributes: { mail: 'Kim@Corp.example' } }
    const after = await signInBySaml(browser, connection, kim)
    expect(after.userId).toBe(before.userId)
    expect(after.memberships.map(({ role }) => role).sort()).toEqual(['owner', 'viewer'])
  })
  it('signs in addresses of its own domains only', async () => {
    for (const email of ['boss@other.example', 'jane@corp.example.evil.example', 'no address']) {
      const page = await viaSaml(new Browser(), connection, { nameId: 'x', attributes: { email } })
      expect(codeOf(page)).toBe('sso_address_refused')
    }
    // claimed by nobody, so it does not help to list it
    const greedy = await connect(samlBody({ domains: ['other.example'] }))
    const page = await viaSaml(new Browser(), greedy, { nameId: 'x', attributes: { email: 'boss@other.example' } })
    expect(codeOf(page)).toBe('sso_address_refused')
    // linked under one address, it does not follow the account to another's
    expect(
      codeOf(await viaSaml(new Browser(), connection, { ...jane, attributes: { email: 'jane@other.example' } })),
    ).toBe('sso_address_refused')
  })
  it('lets nobody in without a role', async () => {
    const strict = await connect(samlBody({ defaultRole: undefined }))
    const page = await viaSaml(new Browser(), strict, { nameId: 'r', attributes: { email: 'r@corp.example' } })
    expect(codeOf(page)).toBe('sso_role_none')
  })
  it('takes an assertion once, in the browser that asked for it', async () => {
    const [browser, thief] = [new Browser(), new Browser()]
    const asked = await request(browser, connection, startOf(connection))
    const kept = browser.cookie(world.url, 'omium_sso') ?? ''
    const response = encodedResponse(await world.idp.answer(asked, jane))
    expect(codeOf(await post(thief, connection, response))).toBe('sign_in_expired')
    await request(thief, connection, startOf(connection))
    expect(codeOf(await post(thief, connection, response))).toBe('sso_assertion_refused')
    // the same request id twice must not make a replay look like the same request
    const headers = { 'x-request-id': 'req_the-very-same' }
    expect((await post(browser, connection, response, headers)).status).toBe(200)
    browser.plant(world.url, 'omium_sso', kept)
    expect(codeOf(await post(browser, connection, response, headers))).toBe('sso_assertion_refused')
  })
  it('takes nothing that is for another connection, forged or late', async () => {
    const other = await connect(samlBody({ name: 'Other' }))
    const browser = new Browser()
    const asked = await request(browser, other, startOf(other))
    const response = encodedResponse(await world.idp.answer(asked, jane))
    expect(codeOf(await post(browser, connection, response))).toBe('sign_in_expired')
    const wrong: Partial<SamlAnswerPlan>[] = [
      { audience: other.settings.serviceProvider.entityId },
      { recipient: other.settings.serviceProvider.acsUrl },
      { lifetimeInSeconds: -300 },
      { signAssertion: false },
      { inResponseTo: '_unknown' },
      { issuer: 'https://evil.example' },
      { signatureAlgorithm: 'rsa-sha1' },
    ]
    for (const changes of wrong)
      expect(codeOf(await viaSaml(new Browser(), connection, jane, changes)), JSON.stringify(changes)).toBe(
        'sso_assertion_refused',
      )
  })
  it('takes what nobody asked for only if it says so', async () => {
    const unasked = async (to: Connection) => {
      const { entityId: issuer, acsUrl } = to.settings.serviceProvider
      return encodedResponse(await world.idp.answer({ id: undefined, issuer, acsUrl }, jane))
    }
    const refused = await post(new Browser(), connection, await unasked(connection))
    expect(codeOf(refused)).toBe('sso_assertion_refused')
    expect(refused.text).toContain('began at the identity provider, which this connection does not allow')
    const open = await connect(samlBody({ name: 'Open' }, { idpInitiated: true }))
    const response = await unasked(open)
    expect((await post(new Browser(), open, response)).status).toBe(200)
    expect(codeOf(await post(new Browser(), open, response))).toBe('sso_assertion_refused')
  })
  it('that is a draft, off or deleted is no way in', async () => {
    const draft = await connect(samlBody({ name: 'Draft' }), false)
    const start = async () => codeOf(await new Browser().visit(at(startOf(draft))))
    expect(await start()).toBe('sso_connection_unknown')
    await world.call('POST', `/v1/sso/connections/${draft.id}/activate`)
    const browser = new Browser()
    const asked = await request(browser, draft, startOf(draft))
    await world.call('POST', `/v1/sso/connections/${draft.id}/disable`)
    expect(codeOf(await post(browser, draft, encodedResponse(await world.idp.answer(asked, jane))))).toBe(
      'sign_in_refused',
    )
    expect((await world.call('DELETE', `/v1/sso/connections/${draft.id}`)).status).toBe(200)
    expect((await world.call('GET', `/v1/sso/connections/${draft.id}`)).body.code).toBe('sso_connection_unknown')
    expect(await start()).toBe('sso_connection_unknown')
    // its secrets can be opened by nobody any more
    const keys = 'SELECT FROM subject_keys WHERE subject = $1 AND wrapped IS NOT NULL'
    await eventually(async () => expect((await world.pool.query(keys, [draft.id])).rows).toEqual([]), patience)
  })
  it('is tried without signing anybody in', async () => {
    const draft = await connect(samlBody({ name: 'Trial' }), false)
    const tried = async (person: SamlPerson, changes: Partial<SamlAnswerPlan> = {}) => {
      const { url } = (await world.call('POST', `/v1/sso/connections/${draft.id}/test`)).body
      const browser = new Browser()
      const asked = await request(browser, draft, url.slice(world.url.length))
      const response = encodedResponse(await world.idp.answer(asked, person, changes))
      const page = await post(browser, draft, response, json)
      expect(browser.cookie(world.url, 'omium_access')).toBeUndefined()
      return JSON.parse(page.text)
    }
    expect(await tried(jane)).toMatchObject({
      outcome: 'ok',
      email: 'jane@corp.example',
      role: 'developer',
      attributes: { groups: ['developers'] },
      steps: [{ ok: true }, { ok: true }, { ok: true }, { ok: true }],
    })
    expect(await tried({ nameId: 'x', attributes: { email: 'x@other.example' } })).toMatchObject({
      outcome: 'sso_address_refused',
    })
    expect(await tried(jane, { audience: 'x' })).toMatchObject({
      outcome: 'sso_assertion_refused',
      data: { reason: 'audience' },
    })
    await eventually(async () => {
      const { body } = await world.call('GET', `/v1/sso/connections/${draft.id}`)
      expect(body).toMatchObject({ status: 'draft', lastTest: { outcome: 'sso_assertion_refused' } })
    }, patience)
    const forged = at(`/auth/sso/${draft.id}/test?token=forged`)
    expect(codeOf(await new Browser().visit(forged))).toBe('sign_in_expired')
  })
  it('is there for its own tenant only', async () => {
    const stranger = new Browser()
    await signInByMail(stranger, 'stranger@other.example', 2)
    const call = (method: string, path: string, body?: unknown) => world.call(method, path, body, as(stranger))
    const path = `/v1/sso/connections/${connection.id}`
    expect((await call('GET', '/v1/sso/connections')).body.items).toEqual([])
    for (const [method, to, body] of [
      ['GET', path],
      ['PUT', path, samlBody()],
      ['DELETE', path],
      ['POST', `${path}/activate`],
      ['POST', `${path}/disable`],
      ['POST', `${path}/test`],
    ] as const)
      expect((await call(method, to, body)).body.code, `${method} ${to}`).toBe('sso_connection_unknown')
    expect((await world.call('GET', path)).body.status).toBe('active')
  })
  it('takes settings that can hold only', async () => {
    const bad = async (settings: Record<string, unknown>, changes = {}) =>
      (await world.call('POST', '/v1/sso/connections', samlBody(changes, settings))).body.code
    expect(await bad({ certificates: ['x'.repeat(200)] })).toBe('invalid_request')
    expect(await bad({ ssoUrl: 'javascript:alert(1)' })).toBe('invalid_request')
    expect(await bad({ kind: 'oidc' })).toBe('invalid_request')
    expect(await bad({}, { domains: ['*'] })).toBe('invalid_request')
    const metadata = { kind: 'oidc', issuer: 'http://169.254.169.254/x', clientId: 'x' }
    const refused = await world.call('POST', '/v1/sso/connections', { ...samlBody(), settings: metadata })
    expect(refused.body.code).toBe('address_refused')
  })
})

describe('an OpenID Connect connection', () => {
  it('signs in and maps roles; an address that is called unverified does not count', async () => {
    const client = { id: 'omium', secret: 'a secret of the spec' }
    const settings = { kind: 'oidc', issuer: 'http://127.0.0.1:1', clientId: client.id, clientSecret: client.secret }
    const body = {
      ...samlBody({ name: 'OIDC', rules: [{ attribute: 'email', value: 'olga@corp.example', role: 'operator' }] }),
      settings,
    }
    const connection = await connect(body)
    const issuer = await world.issuer({ ...client, redirectUris: [connection.settings.redirectUri] })
    // the secret is not named, so it stays
    const { clientSecret: _, ...named } = settings
    const changed = { ...body, settings: { ...named, issuer: issuer.url } }
    expect((await world.call('PUT', `/v1/sso/connections/${connection.id}`, changed)).status).toBe(200)
    expect((await world.call('GET', `/v1/sso/connections/${connection.id}`)).body.settings).toMatchObject({
      hasSecret: true,
      issuer: issuer.url,
    })
    const viaOidc = (browser: Browser) => browser.visit(at(startOf(connection)))
    issuer.account = { sub: 'olga', email: 'olga@corp.example', name: 'Olga' }
    const browser = new Browser()
    expect((await viaOidc(browser)).status).toBe(200)
    expect(await whoami(browser)).toMatchObject({
      email: 'olga@corp.example',
      memberships: [{ tenant: 'ten_local', role: 'operator' }],
    })
    issuer.account = { sub: 'pete', email: 'pete@corp.example', email_verified: false }
    expect(codeOf(await viaOidc(new Browser()))).toBe('sso_address_refused')
    issuer.account = { sub: 'ron', email: 'ron@other.example', email_verified: true }
    expect(codeOf(await viaOidc(new Browser()))).toBe('sso_address_refused')
    issuer.account = { sub: 'olga', email: 'olga@corp.example' }
    issuer.forge = (claims, sign) => sign({ ...claims, aud: 'somebody-else' })
    expect(codeOf(await viaOidc(new Browser()))).toBe('sign_in_refused')
    issuer.forge = undefined
    await world.call('DELETE', `/v1/sso/connections/${connection.id}`)
  })
})

ssoOnly(() => world, flows)
idpMetadata(() => world, flows)
ssoAttacks(() => world, flows)

describe('a domain whose record is gone', () => {
  it('goes on for a while, then leads nowhere and signs in nobody', async () => {
    await claimDomain('gone.example')
    const connection = await connect(samlBody({ domains: ['gone.example'] }))
    const gus = { nameId: 'gus', attributes: { email: 'gus@gone.example' } }
    await signInBySaml(new Browser(), connection, gus)
    const status = async () => (await world.call('GET', '/v1/domains/gone.example')).body.status
    world.dns.records.delete('gone.example')
    await eventually(async () => expect(await status()).not.toBe('verified'), patience)
    await eventually(async () => expect(await status()).toBe('lapsed'), patience)
    expect(codeOf(await viaSaml(new Browser(), connection, gus))).toBe('sso_address_refused')
    const page = await new Browser().visit(at('/auth/sign-in'), { form: { email: 'gus@gone.example' } })
    expect(page.text).toContain('Check your mail')
    await claimDomain('gone.example')
    expect(await status()).toBe('verified')
  })
})
