import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@omium/dev'
import { type CaughtMail, eventually, newApiKey, spawnService, startMailCatcher } from '@omium/dev/testing'
import { identityProjection } from '@omium/projection-identity'
import { createSamlIdp } from '@omium/sign-in/testing'
import { openFrame } from '../frame.ts'
import { startDnsServer } from './dns-server.ts'
import { startOpenIdIssuer } from './openid-issuer.ts'

/**
 * A whole gateway with the identity service, its read model, a DNS server, a mail server, an OpenID provider and a SAML identity
 * provider around it, all real. Domains are looked at again all the time, and lapse after a moment.
 */
export const startSsoWorld = async () => {
  const dns = await startDnsServer()
  const folder = mkdtempSync(join(tmpdir(), 'omium-sso-'))
  const mails: CaughtMail[] = []
  const catcher = await startMailCatcher(await freePort(), join(folder, 'mail'), (mail) => mails.push(mail))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const apiKey = newApiKey()
  const frame = await openFrame({
    OMIUM_LOCAL_API_KEY: apiKey,
    OMIUM_GATEWAY_PORT: String(port),
    OMIUM_IDENTITY_PORT: '0',
    OMIUM_URL: url,
    OMIUM_SMTP_URL: catcher.url,
    OMIUM_DNS_SERVERS: dns.address,
    OMIUM_DOMAIN_CHECK_MS: '200',
    OMIUM_DOMAIN_GRACE_MS: '1500',
    OMIUM_EGRESS_ALLOW: '127.0.0.0/8',
    OMIUM_EGRESS_HTTP: 'true',
    OMIUM_TRUSTED_PROXIES: '127.0.0.1',
  })
  const service = await spawnService('consumers/identity/src/main.ts', frame.env)
  frame.adopt(service, (one) => one.stop())
  await frame.project(identityProjection, 'identity')
  await service.waitForLine(/"msg":"ready"/, 120_000)
  const gateway = frame.adopt(await frame.startGateway(), (one) => one.close())
  const idp = await createSamlIdp('https://idp.corp.example')
  const issuers: { close(): Promise<void> }[] = []

  return {
    url,
    apiKey,
    dns,
    pool: frame.pool,
    idp,
    gateway,
    /** an OpenID provider that sends people back to these addresses */
    issuer: async (client: { id: string; secret: string; redirectUris: string[] }) => {
      const issuer = await startOpenIdIssuer(client)
      issuers.push(issuer)
      return issuer
    },
    call: async (method: string, path: string, body?: unknown, authorization = `Bearer ${apiKey}`) => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { authorization, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
      return { status: response.status, body: (text ? JSON.parse(text) : null) as any }
    },
    /** the link of the n-th mail to an address, once it has come */
    linkTo: (email: string, nth = 1): Promise<string> =>
      eventually(
        () => {
          const link = mails.filter(({ to }) => to === email)[nth - 1]?.link
          if (!link) throw new Error(`no mail to ${email} yet`)
          return link
        },
        { timeoutMs: 30_000 },
      ),
    close: async () => {
      await frame.close()
      await Promise.all([...issuers.map((issuer) => issuer.close()), catcher.close(), dns.close()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
