import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventually } from '@omium/dev/testing'
import { breakerCounts } from '@omium/resilience'
import { createSamlIdp, idpMetadataXml } from '@omium/sign-in/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from './browser.ts'
import { codeOf, personOf, type SsoFlows, type SsoWorld } from './sso-flows.ts'

/** What identity providers publish about themselves, and the replacement of their certificates. */
export const idpMetadata = (worldOf: () => SsoWorld, flows: SsoFlows) =>
  describe('metadata of an identity provider', () => {
    const { as, signInByMail, samlBody, connect, signInBySaml, viaSaml } = flows
    let server: Server
    let base: string
    const published = { status: 200, text: '', headers: {} as Record<string, string>, asked: 0 }
    beforeAll(async () => {
      server = createServer((_request, response) => {
        published.asked++
        response.writeHead(published.status, published.headers).end(published.text)
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/metadata`
    })
    afterAll(() => {
      server.closeAllConnections()
      server.close()
    })
    const read = (body: object, authorization?: string) =>
      worldOf().call('POST', '/v1/sso/metadata', body, authorization)

    it('is read from a document or an address, and what it says connects', async () => {
      const { idp } = worldOf()
      const ssoUrl = 'https://idp.corp.example/sso'
      const xml = idpMetadataXml({ entityId: idp.entityId, ssoUrl, certificates: [idp.keys.certificate] })
      published.text = xml
      const [uploaded, fetched] = [await read({ xml }), await read({ url: base })]
      expect(uploaded).toMatchObject({
        status: 200,
        body: { entityId: idp.entityId, ssoUrl, certificates: [{ subject: 'CN=idp', expiresAt: expect.any(String) }] },
      })
      expect(fetched).toEqual(uploaded)
      const { certificates, ...settings } = fetched.body
      const pems = certificates.map(({ pem }: { pem: string }) => pem)
      const connection = await connect(samlBody({ name: 'Read' }, { ...settings, certificates: pems }))
      expect(connection.settings.certificates).toEqual(certificates)
      await signInBySaml(new Browser(), connection, personOf('mel'))
    })
    it('brings a new certificate beside the old one, until that is taken away', async () => {
      const { idp, call } = worldOf()
      const next = (await createSamlIdp(idp.entityId)).keys
      const change = (certificates: string[]) => samlBody({ name: 'Rolling' }, { certificates })
      const connection = await connect(change([idp.keys.certificate]))
      const byNext = (browser: Browser) => viaSaml(browser, connection, personOf('mel'), { keys: next })
      expect(codeOf(await byNext(new Browser()))).toBe('sso_assertion_refused')
      const path = `/v1/sso/connections/${connection.id}`
      expect((await call('PUT', path, change([next.certificate, idp.keys.certificate]))).status).toBe(200)
      const both = (await call('GET', path)).body.settings.certificates
      expect(both).toMatchObject([{ expiresAt: expect.any(String) }, { expiresAt: expect.any(String) }])
      expect((await byNext(new Browser())).status).toBe(200)
      await signInBySaml(new Browser(), connection, personOf('mel'))
      expect((await call('PUT', path, change([next.certificate]))).status).toBe(200)
      expect((await byNext(new Browser())).status).toBe(200)
      expect(codeOf(await viaSaml(new Browser(), connection, personOf('mel')))).toBe('sso_assertion_refused')
    })
    it('is fetched from nowhere inside, in bounds, and read for owners only', async () => {
      for (const url of ['http://169.254.169.254/latest', 'http://10.0.0.1/', 'http://user:pass@idp.example/'])
        expect((await read({ url })).body.code, url).toBe('address_refused')
      published.headers = { location: 'http://169.254.169.254/latest' }
      published.status = 302
      expect((await read({ url: base })).body.code).toBe('address_refused')
      Object.assign(published, { status: 404, headers: {} })
      expect(await read({ url: base })).toMatchObject({ status: 502, body: { code: 'outside_failed' } })
      Object.assign(published, { status: 200, text: ' '.repeat(300_000) })
      expect((await read({ url: base })).body.code).toBe('outside_failed')
      published.text = '<html/>'
      expect(await read({ url: base })).toMatchObject({ status: 422, body: { code: 'invalid_request' } })
      for (const body of [{}, { url: 'file:///etc/passwd' }, { xml: 'x', url: base }])
        expect((await read(body)).status).toBe(422)
      const viewer = new Browser()
      await signInBySaml(viewer, await connect(samlBody({ name: 'Viewers' })), personOf('vic'))
      expect((await read({ url: base }, as(viewer))).status).toBe(403)
    })
    it('that cannot be had any more is left alone for its tenant, and for no other', async () => {
      Object.assign(published, { status: 503, text: '' })
      // time and again it is asked once, to see whether it is back
      await eventually(async () => {
        const before = published.asked
        expect(await read({ url: base })).toMatchObject({ status: 503, body: { code: 'unavailable' } })
        expect(published.asked).toBe(before)
      })
      const before = published.asked
      expect(breakerCounts().get('identity provider')?.open).toBeGreaterThan(0)
      const stranger = new Browser()
      await signInByMail(stranger, 'metadata@other.example')
      expect((await read({ url: base }, as(stranger))).body.code).toBe('outside_failed')
      expect(published.asked).toBeGreaterThan(before)
    })
  })
