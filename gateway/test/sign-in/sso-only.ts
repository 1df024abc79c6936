import { eventually } from '@omium/dev/testing'
import { generateSync } from 'otplib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from './browser.ts'
import { type Connection, patience, personOf, type SsoFlows, type SsoWorld } from './sso-flows.ts'

const tenant = 'ten_local'

/** "SSO only": who is shut out, who is not, and who never can be. */
export const ssoOnly = (worldOf: () => SsoWorld, flows: SsoFlows) =>
  describe('"SSO only"', () => {
    const { at, whoami, as, signInByMail, switchTo, samlBody, connect, signInBySaml } = flows
    let connection: Connection
    const rules = ['developer', 'owner'].map((role) => ({ attribute: 'groups', value: `${role}s`, role }))
    beforeAll(async () => {
      connection = await connect(samlBody({ name: 'Only', rules }))
    })
    afterAll(() => demand(false))

    const demand = (required: boolean, authorization?: string) =>
      worldOf().call('PUT', '/v1/sso/policy', { required }, authorization)
    const read = (authorization: string) => worldOf().call('GET', '/v1/executions', undefined, authorization)
    const codeFor = async (authorization: string) => {
      const { status, body } = await read(authorization)
      return status === 200 ? 'ok' : body.code
    }
    const becomes = (authorization: string, code: string) =>
      eventually(async () => expect(await codeFor(authorization)).toBe(code), patience)
    /** Into the company's tenant, as soon as they are a member there. */
    const enter = (browser: Browser) =>
      eventually(async () => expect((await switchTo(browser, tenant)).status).toBe(200), patience)
    /** Somebody of the company who came in by mail as well, and works in the company's tenant with that session. */
    const byMailToo = async (name: string, ...groups: string[]) => {
      const [bySaml, byMail] = [new Browser(), new Browser()]
      await signInByMail(byMail, `${name}@corp.example`)
      await signInBySaml(bySaml, connection, personOf(name, ...groups))
      await enter(byMail)
      return { bySaml, byMail }
    }
    const withSecondFactor = async (browser: Browser) => {
      const begun = await browser.visit(at('/auth/factors/totp/begin'), { json: {} })
      const { secret } = JSON.parse(begun.text) as { secret: string }
      const code = generateSync({ strategy: 'totp', secret })
      expect((await browser.visit(at('/auth/factors/totp'), { json: { code, label: 'Phone' } })).status).toBe(201)
    }
    /** What `omium login` gets, let in by somebody in their browser. */
    const programOf = async (browser: Browser): Promise<string> => {
      const ask = async (path: string, body: Record<string, string>) => {
        const response = await fetch(at(path), { method: 'POST', body: new URLSearchParams(body) })
        return (await response.json()) as Record<string, string>
      }
      const client = { client_id: 'omium-cli' }
      const { device_code = '', user_code = '' } = await ask('/auth/device', client)
      const decided = await browser.visit(at('/auth/device/decide'), { form: { user_code, decision: 'approved' } })
      expect(decided.status).toBe(200)
      const grant_type = 'urn:ietf:params:oauth:grant-type:device_code'
      const { access_token } = await ask('/auth/token', { ...client, grant_type, device_code })
      expect(access_token).toBeDefined()
      return `Bearer ${access_token}`
    }
    const serviceTokenOf = async (authorization?: string): Promise<string> => {
      const asked = { audience: 'gateway', permissions: ['executions:read'] }
      const { status, body } = await worldOf().call('POST', '/v1/service-tokens', asked, authorization)
      expect(status).toBe(201)
      return `Bearer ${body.token}`
    }

    it('shuts out within seconds who came in by mail before, with every program and token of that session', async () => {
      const { bySaml, byMail } = await byMailToo('lee', 'developers')
      await becomes(as(byMail), 'ok')
      const [program, programBySso] = [await programOf(byMail), await programOf(bySaml)]
      const [service, serviceBySso] = [await serviceTokenOf(as(byMail)), await serviceTokenOf(as(bySaml))]
      const serviceOfKey = await serviceTokenOf()
      for (const each of [program, programBySso, service, serviceBySso, serviceOfKey]) await becomes(each, 'ok')
      // whoever has no right to it cannot demand it
      expect((await demand(true, as(bySaml))).status).toBe(403)
      expect((await demand(true)).status).toBe(200)
      const since = performance.now()
      await Promise.all([as(byMail), program, service].map((each) => becomes(each, 'sso_required')))
      expect(performance.now() - since).toBeLessThan(5_000)
      for (const each of [as(bySaml), programBySso, serviceBySso]) expect(await codeFor(each)).toBe('ok')
      // keys are the tenant's, and so are the tokens that they ask for
      for (const each of [`Bearer ${worldOf().apiKey}`, serviceOfKey]) expect(await codeFor(each)).toBe('ok')
      // no new way either: no token, no other program, no new tokens for the session
      expect(await codeFor(await programOf(byMail))).toBe('sso_required')
      await byMail.visit(at('/auth/refresh'), { method: 'POST' })
      expect(await codeFor(as(byMail))).toBe('sso_required')
      const refused = await worldOf().call(
        'POST',
        '/v1/service-tokens',
        { audience: 'gateway', permissions: [] },
        as(byMail),
      )
      expect(refused.body.code).toBe('sso_required')
      expect(refused.body.detail).toContain('sign in at /auth/sso/sso_')
    })
    it('leaves their other tenants to them, and those that are of no company', async () => {
      const { bySaml, byMail } = await byMailToo('max')
      const own = (await whoami(byMail)).memberships.find((one) => one.tenant !== tenant)?.tenant ?? ''
      expect(await codeFor(as(byMail))).toBe('sso_required')
      await switchTo(byMail, own)
      expect(await codeFor(as(byMail))).toBe('ok')
      await switchTo(byMail, tenant)
      expect(await codeFor(as(byMail))).toBe('sso_required')
      // the connection is a way into the company's tenant, and they may go on from there
      await switchTo(bySaml, own)
      expect(await codeFor(as(bySaml))).toBe('ok')
      const guest = new Browser()
      await signInByMail(guest, 'guest@elsewhere.example')
      const { body } = await worldOf().call('POST', '/v1/invitations', {
        email: 'guest@elsewhere.example',
        role: 'viewer',
      })
      const accept = `/v1/me/invitations/${tenant}/${body.id}/accept`
      expect((await worldOf().call('POST', accept, {}, as(guest))).status).toBe(200)
      await enter(guest)
      await becomes(as(guest), 'ok')
    })
    it('takes no session of another company for its own', async () => {
      const rival = new Browser()
      await signInByMail(rival, 'boss@rival.example')
      await flows.claimDomain('rival.example', rival)
      const theirs = await connect(samlBody({ name: 'Rival', domains: ['rival.example'] }), true, rival)
      const spy = new Browser()
      const person = { nameId: 'spy', attributes: { email: 'spy@rival.example' } }
      const { memberships } = await signInBySaml(spy, theirs, person)
      expect(memberships.map((one) => one.tenant)).not.toContain(tenant)
      expect((await switchTo(spy, tenant)).status).toBe(404)
    })
    it('lets somebody who signs in by mail first join by the connection, as the same user', async () => {
      const [byMail, bySaml] = [new Browser(), new Browser()]
      const before = await signInByMail(byMail, 'new@corp.example')
      expect(before.memberships).toMatchObject([{ name: 'Personal', role: 'owner' }])
      expect(await codeFor(as(byMail))).toBe('ok')
      expect((await switchTo(byMail, tenant)).status).toBe(404)
      const { body } = await worldOf().call('POST', '/v1/invitations', { email: 'new@corp.example', role: 'admin' })
      const accept = `/v1/me/invitations/${tenant}/${body.id}/accept`
      expect((await worldOf().call('POST', accept, {}, as(byMail))).status).toBe(200)
      await enter(byMail)
      await becomes(as(byMail), 'sso_required')
      const after = await signInBySaml(bySaml, connection, personOf('new'))
      expect(after.userId).toBe(before.userId)
      expect(after.memberships).toContainEqual(expect.objectContaining({ tenant, role: 'admin' }))
      expect(await codeFor(as(bySaml))).toBe('ok')
    })
    it('leaves owners with a second factor a way when the identity provider is down, and nobody else', async () => {
      const { byMail: owner } = await byMailToo('ada', 'owners')
      const { byMail: developer } = await byMailToo('dev', 'developers')
      for (const browser of [owner, developer]) {
        expect(await codeFor(as(browser))).toBe('sso_required')
        await withSecondFactor(browser)
      }
      await becomes(as(owner), 'ok')
      expect(await codeFor(as(developer))).toBe('sso_required')
      await worldOf().call('POST', `/v1/sso/connections/${connection.id}/disable`)
      expect((await new Browser().visit(at(`/auth/sso/${connection.id}/start`))).status).toBe(404)
      expect((await demand(false, as(owner))).status).toBe(200)
      await becomes(as(developer), 'ok')
      // only who came through a connection may shut out the others, so that nobody does so from outside
      expect((await demand(true, as(owner))).body.code).toBe('identity_conflict')
    })
    it('counts sessions of active connections only', async () => {
      await worldOf().call('POST', `/v1/sso/connections/${connection.id}/activate`)
      const browser = new Browser()
      await signInBySaml(browser, connection, personOf('ned'))
      await demand(true)
      expect(await codeFor(as(browser))).toBe('ok')
      await worldOf().call('POST', `/v1/sso/connections/${connection.id}/disable`)
      await becomes(as(browser), 'sso_required')
      await demand(false)
      await becomes(as(browser), 'ok')
    })
  })
