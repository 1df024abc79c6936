import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { encodedResponse } from '@omium/sign-in/testing'
import { SignJWT, UnsecuredJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { Browser } from './browser.ts'
import type { Forge, OpenIdIssuer } from './openid-issuer.ts'
import { type Connection, codeOf, json, personOf, type SsoFlows, type SsoWorld, startOf } from './sso-flows.ts'

const client = { id: 'omium', secret: 'a secret of the spec' }

/** Against the whole way there and back; what is wrong with documents alone is in the specs beside `saml/`. */
export const ssoAttacks = (worldOf: () => SsoWorld, flows: SsoFlows) => {
  const { at, whoami, signInByMail, claimDomain, samlBody, connect, request, post, viaSaml, signInBySaml } = flows
  /** A tenant of somebody else, who owns a domain. */
  const rivalWith = async (email: string, domain: string): Promise<Browser> => {
    const rival = new Browser()
    await signInByMail(rival, email)
    await claimDomain(domain, rival)
    return rival
  }

  describe('an attack on SAML', () => {
    it('by the place to land at leads nowhere', async () => {
      const connection = await connect(samlBody({ name: 'Relay' }))
      const browser = new Browser()
      const asked = await request(browser, connection, startOf(connection))
      const response = encodedResponse(await worldOf().idp.answer(asked, personOf('rita')))
      const page = await post(browser, connection, response, {}, 'https://evil.example/phish')
      expect([page.status, page.url.origin]).toEqual([200, worldOf().url])
      const landing = await new Browser().visit(at(`${startOf(connection)}?return_to=https://evil.example`))
      expect(codeOf(landing)).toBe('invalid_request')
    })
    it("from one tenant's provider reaches no person of another's domain", async () => {
      const rival = await rivalWith('owner@rival-two.example', 'rival-two.example')
      const domains = ['rival-two.example', 'corp.example']
      const theirs = await connect(samlBody({ name: 'Theirs', domains }), true, rival)
      expect(theirs.domains).toEqual([
        { domain: 'rival-two.example', verified: true },
        { domain: 'corp.example', verified: false },
      ])
      for (const email of ['jane@corp.example', 'owner@rival-two.example@corp.example', 'jane@sub.rival-two.example'])
        expect(codeOf(await viaSaml(new Browser(), theirs, { nameId: 'x', attributes: { email } })), email).toBe(
          'sso_address_refused',
        )
      // the same name at another provider is another account
      const victim = await signInBySaml(new Browser(), await connect(samlBody({ name: 'Ours' })), personOf('same'))
      const same = { nameId: 'same', attributes: { email: 'same@rival-two.example' } }
      expect((await signInBySaml(new Browser(), theirs, same)).userId).not.toBe(victim.userId)
    })
    it('with an address that looks like another is refused', async () => {
      const connection = await connect(samlBody({ name: 'Lookalikes' }))
      for (const email of [
        '\u212aim@corp.example',
        'jane@c\u043erp.example',
        'jane@corp.example.',
        'jane@corp.example\u200b',
      ])
        expect(codeOf(await viaSaml(new Browser(), connection, { nameId: 'l', attributes: { email } })), email).toBe(
          'sso_address_refused',
        )
      expect((await worldOf().call('POST', '/v1/domains', { domain: 'c\u043erp.example' })).status).toBe(422)
    })
    it('by a name that is made to look like somebody without one is another account', async () => {
      const connection = await connect(samlBody({ name: 'Names' }))
      const transient = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient'
      const victim = await signInBySaml(new Browser(), connection, { ...personOf('vera'), format: transient })
      const thief = { nameId: 'email:vera@corp.example', attributes: { email: 'thief@corp.example' } }
      expect((await signInBySaml(new Browser(), connection, thief)).userId).not.toBe(victim.userId)
    })
    it('through a domain that was given up: who owns it now signs in its people, and nobody else', async () => {
      await claimDomain('moved.example')
      const ours = await connect(samlBody({ name: 'Before', domains: ['moved.example'] }))
      const mia = { nameId: 'mia', attributes: { email: 'mia@moved.example' } }
      const before = await signInBySaml(new Browser(), ours, mia)
      expect((await worldOf().call('DELETE', '/v1/domains/moved.example')).status).toBe(200)
      const rival = await rivalWith('owner@buyer.example', 'moved.example')
      const theirs = await connect(samlBody({ name: 'After', domains: ['moved.example'] }), true, rival)
      expect(codeOf(await viaSaml(new Browser(), ours, mia))).toBe('sso_address_refused')
      const asked = await new Browser().visit(at('/auth/sign-in'), {
        form: { email: 'mia@moved.example' },
        headers: json,
      })
      expect(JSON.parse(asked.text).url).toContain(startOf(theirs))
      const after = await signInBySaml(new Browser(), theirs, mia)
      expect(after).toMatchObject({ userId: before.userId, tenant: (await whoami(rival)).tenant })
      // what those who had it before demand of its people is over, and what they took back they do not get by asking
      expect((await worldOf().call('POST', '/v1/domains/moved.example/verify')).body.code).toBe('domain_unknown')
    })
  })

  describe('an attack on OpenID Connect', () => {
    let connection: Connection
    let issuer: OpenIdIssuer
    const connectTo = async (name: string, more: Record<string, unknown> = {}) => {
      const settings = { kind: 'oidc', issuer: 'http://127.0.0.1:1', clientId: client.id, clientSecret: client.secret }
      const made = await connect({ ...samlBody({ name }), settings })
      const provider = await worldOf().issuer({ ...client, redirectUris: [made.settings.redirectUri] })
      const changed = { ...samlBody({ name }), settings: { ...settings, issuer: provider.url, ...more } }
      expect((await worldOf().call('PUT', `/v1/sso/connections/${made.id}`, changed)).status).toBe(200)
      provider.account = { sub: 'olga', email: 'olga@corp.example' }
      return { made, provider }
    }
    beforeAll(async () => {
      const { made, provider } = await connectTo('Attacked')
      ;[connection, issuer] = [made, provider]
    })
    const signIn = async (browser = new Browser()) => {
      const page = await browser.visit(at(startOf(connection)))
      return page.status === 200 ? 'in' : codeOf(page)
    }
    /** Up to where the provider sends the browser back to. */
    const answerOf = async (browser: Browser, of: Connection): Promise<URL> => {
      let url = new URL(at(startOf(of)))
      for (let hops = 0; hops < 10; hops++) {
        const { headers } = await browser.visit(url, { follow: false })
        url = new URL(headers.get('location') ?? '', url)
        if (url.pathname.endsWith('/callback')) return url
      }
      throw new Error(`no answer, the last is ${url}`)
    }

    it('with a token that nobody signed, or with a secret that is none, is refused', async () => {
      const { keys } = (await (await fetch(`${issuer.url}/jwks`)).json()) as { keys: { n: string }[] }
      const secrets = [client.secret, keys[0]?.n ?? '', JSON.stringify(keys[0])]
      const attempts: Forge[] = [
        async (claims) => new UnsecuredJWT(claims).encode(),
        ...secrets.map(
          (secret): Forge =>
            (claims) =>
              new SignJWT(claims)
                .setProtectedHeader({ alg: 'HS256', kid: 'issuer-key' })
                .sign(Buffer.from(secret.padEnd(32, '0'))),
        ),
        (claims, sign) => sign({ ...claims, iss: 'https://evil.example' }),
        (claims, sign) => sign({ ...claims, aud: ['somebody-else', client.id], azp: 'somebody-else' }),
      ]
      for (const [number, forge] of attempts.entries()) {
        issuer.forge = forge
        expect(await signIn(), `attempt ${number}`).toBe('sign_in_refused')
      }
      issuer.forge = undefined
      expect(await signIn()).toBe('in')
    })
    it('with the token of an earlier sign-in is refused', async () => {
      let earlier = ''
      issuer.forge = async (claims, sign) => {
        earlier = await sign(claims)
        return earlier
      }
      expect(await signIn()).toBe('in')
      issuer.forge = async () => earlier
      expect(await signIn()).toBe('sign_in_refused')
      issuer.forge = undefined
    })
    it('with the code of another browser, another issuer or another connection is refused', async () => {
      const [thief, victim] = [new Browser(), new Browser()]
      const [stolen, own] = [await answerOf(thief, connection), await answerOf(victim, connection)]
      const kept = victim.cookie(worldOf().url, 'omium_sso') ?? ''
      const injected = new URL(own)
      injected.searchParams.set('code', stolen.searchParams.get('code') ?? '')
      const otherIssuer = new URL(own)
      otherIssuer.searchParams.set('iss', 'https://evil.example')
      const withoutIssuer = new URL(own)
      withoutIssuer.searchParams.delete('iss')
      for (const url of [stolen, injected, otherIssuer, withoutIssuer]) {
        victim.plant(worldOf().url, 'omium_sso', kept)
        expect(codeOf(await victim.visit(url)), url.search).toBe('sign_in_refused')
      }
      expect(codeOf(await new Browser().visit(stolen))).toBe('sign_in_expired')
      const { made: other } = await connectTo('Mixed up')
      victim.plant(worldOf().url, 'omium_sso', kept)
      const mixedUp = own.href.replace(connection.id, other.id)
      expect(codeOf(await victim.visit(mixedUp))).toBe('sign_in_expired')
    })
    it('with an address that is not verified, however it says so, or in another domain, is refused', async () => {
      const accounts = [
        { sub: 'u1', email: 'u1@corp.example', email_verified: false },
        { sub: 'u2', email: 'u2@other.example', email_verified: true },
        { sub: 'u3', email: 'u3@corp.example@other.example' },
        { sub: 'u4' },
      ]
      for (const account of accounts) {
        issuer.account = account
        expect(await signIn(), account.sub).toBe('sso_address_refused')
      }
      issuer.account = { sub: 'olga', email: 'olga@corp.example' }
    })
    it('by a provider that says it is another, or sends us inside, is refused', async () => {
      const told = { issuer: '', token: '' }
      const server = createServer((_request, response) => {
        const self = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
        const document = {
          issuer: told.issuer || self,
          authorization_endpoint: `${self}/auth`,
          token_endpoint: told.token || `${self}/token`,
          jwks_uri: 'http://169.254.169.254/jwks',
          response_types_supported: ['code'],
        }
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document))
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const evil = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const through = async (name: string) => {
        const settings = { kind: 'oidc', issuer: evil, clientId: client.id, clientSecret: client.secret }
        const made = await connect({ ...samlBody({ name }), settings })
        const browser = new Browser()
        const started = await browser.visit(at(startOf(made)), { follow: false })
        if (started.status !== 303) return codeOf(started)
        const state = new URL(started.headers.get('location') ?? '').searchParams.get('state') ?? ''
        return codeOf(await browser.visit(at(`/auth/sso/${made.id}/callback?code=x&state=${state}`)))
      }
      told.issuer = issuer.url
      expect(await through('Pretender')).toBe('sign_in_refused')
      Object.assign(told, { issuer: '', token: 'http://169.254.169.254/latest/meta-data' })
      expect(await through('Inside')).toBe('address_refused')
      server.closeAllConnections()
      server.close()
    })
    it('is tried without signing anybody in', async () => {
      const { url } = (await worldOf().call('POST', `/v1/sso/connections/${connection.id}/test`)).body
      const browser = new Browser()
      const page = await browser.visit(url, { headers: json })
      expect(JSON.parse(page.text)).toMatchObject({ outcome: 'ok', email: 'olga@corp.example', role: 'viewer' })
      expect(browser.cookie(worldOf().url, 'omium_access')).toBeUndefined()
      issuer.account = { sub: 'trial', email: 'trial@corp.example', email_verified: false }
      const again = (await worldOf().call('POST', `/v1/sso/connections/${connection.id}/test`)).body.url
      const refused = await new Browser().visit(again, { headers: json })
      expect(JSON.parse(refused.text).outcome).toBe('sso_address_refused')
      issuer.account = { sub: 'olga', email: 'olga@corp.example' }
    })
    it('by a provider that hangs holds up its own people only', async () => {
      const { made, provider } = await connectTo('Silent')
      await provider.close()
      const start = (of: Connection) => new Browser().visit(at(startOf(of)))
      for (let i = 0; i < 5; i++) expect(codeOf(await start(made))).toBe('unavailable')
      const since = performance.now()
      expect(codeOf(await start(made))).toBe('unavailable')
      expect(performance.now() - since).toBeLessThan(2_000)
      expect(await signIn()).toBe('in')
    })
  })
}
