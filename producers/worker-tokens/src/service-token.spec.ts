import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  isServiceToken,
  mintServiceToken,
  publishedKeys,
  type ServiceAudience,
  type ServiceClaims,
  serviceTokenMs,
  verifyServiceToken,
} from './service-token.ts'

const issuer = 'https://omium.example'
const claims: ServiceClaims = { tenant: 'ten_a', source: { key: 'key_1' }, permissions: ['executions:read'] }
const clock = { nowMs: 1_700_000_000_000 }
const nowMs = () => clock.nowMs
let pair: { privateKey: CryptoKey; publicKey: CryptoKey }
beforeAll(async () => {
  pair = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
})

const mint = (audience: ServiceAudience = 'models', given = claims) =>
  mintServiceToken(
    { issuer, nowMs, signing: async () => ({ kid: 'k1', privateKey: pair.privateKey }) },
    audience,
    given,
  )
const verify = (token: string, audience: ServiceAudience = 'models') =>
  verifyServiceToken({ issuer, audience, nowMs, keyOf: async () => pair.publicKey }, token)
const refused = (token: string) => expect(verify(token)).rejects.toMatchObject({ code: 'unauthenticated' })

describe('a service token', () => {
  it('says in whose name, where, and for what, to its audience alone', async () => {
    const { token } = await mint()
    expect(isServiceToken(token)).toBe(true)
    expect(await verify(token)).toEqual({ ...claims, issuedAt: clock.nowMs })
    for (const other of ['gateway', 'engine'] as const)
      await expect(verify(token, other)).rejects.toMatchObject({ code: 'unauthenticated' })
    const ofPerson = { ...claims, source: { user: 'usr_a', session: 'ses_a' } }
    expect(await verify((await mint('models', ofPerson)).token)).toMatchObject(ofPerson)
  })
  it('lives five minutes, whatever it claims', async () => {
    const { token, expiresAt } = await mint()
    expect(expiresAt).toBe(clock.nowMs + serviceTokenMs)
    const long = await draft()
      .setExpirationTime(clock.nowMs / 1000 + 86_400)
      .sign(pair.privateKey)
    await verify(long)
    clock.nowMs += serviceTokenMs + 31_000
    await refused(token)
    await refused(long)
  })
  it('of another kind, key, issuer, or without a signature is none', async () => {
    const other = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
    for (const token of [
      await draft({ typ: 'at+jwt' }).sign(pair.privateKey),
      await draft().sign(other.privateKey),
      await draft().setIssuer('https://evil.example').sign(pair.privateKey),
      await draft({ alg: 'HS256' }).sign(Buffer.alloc(32)),
      new UnsecuredJWT({ tenant: 'ten_a', scopes: [], sub: 'key_1', iss: issuer, aud: 'omium:models' }).encode(),
      'a.b.c',
    ])
      await refused(token)
    expect(isServiceToken('a.b.c')).toBe(false)
    expect(isServiceToken('om_test_x')).toBe(false)
  })
})

describe('published keys', () => {
  it('are read once for many tokens; when they cannot be read, nobody is called a forger', async () => {
    const platform = { asked: 0, status: 503 }
    const keys = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'EdDSA', use: 'sig' }] }
    const server = createServer((_request, response) => {
      platform.asked++
      response.writeHead(platform.status, { 'content-type': 'application/json' }).end(JSON.stringify(keys))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const keyOf = publishedKeys(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const { token } = await mint()
    const verifyRemote = () => verifyServiceToken({ issuer, audience: 'models', nowMs, keyOf }, token)
    try {
      await expect(verifyRemote()).rejects.toMatchObject({ code: 'unavailable', retryable: true })
      expect(platform.asked).toBe(2)
      platform.status = 200
      for (let i = 0; i < 3; i++) expect(await verifyRemote()).toMatchObject({ tenant: 'ten_a' })
      expect(platform.asked).toBe(3)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

const draft = (header: Record<string, unknown> = {}) => {
  const now = clock.nowMs / 1000
  return new SignJWT({ tenant: 'ten_a', scopes: ['executions:read'] })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'svc+jwt', kid: 'k1', ...header })
    .setIssuer(issuer)
    .setAudience('omium:models')
    .setSubject('key_1')
    .setIssuedAt(now)
    .setExpirationTime(now + 300)
}
