import { exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { type AccessClaims, type AccessTokens, accessTokenMs, audience, createAccessTokens } from './access-tokens.ts'
import type { SigningKeys } from './signing-keys.ts'

const issuer = 'https://omium.example'
const claims: AccessClaims = {
  userId: 'usr_a',
  sessionId: 'ses_a',
  tenant: 'ten_a',
  amr: ['email'],
  authenticatedAt: 1_700_000_000_000,
  client: 'browser',
}
const clock = { nowMs: 1_700_000_100_000 }
const nowMs = () => clock.nowMs

let pair: Awaited<ReturnType<typeof generateKeyPair>>
let tokens: AccessTokens

const keysOf = (one: typeof pair): SigningKeys => ({
  signing: async () => ({ kid: 'k1', privateKey: one.privateKey }),
  verifying: async (kid) => (kid === 'k1' ? one.publicKey : undefined),
  published: () => ({ keys: [] }),
  refresh: async () => undefined,
  close: () => undefined,
})

beforeAll(async () => {
  pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  tokens = createAccessTokens(issuer, keysOf(pair), nowMs)
})

const payload = () => ({
  sid: 'ses_a',
  tenant: 'ten_a',
  amr: ['email'],
  auth_time: 1_700_000_000,
  client_id: 'browser',
})
const draft = (header: Record<string, unknown> = {}) => {
  const now = clock.nowMs / 1000
  return new SignJWT(payload())
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'k1', ...header })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject('usr_a')
    .setIssuedAt(now)
    .setExpirationTime(now + 300)
}
const refused = (token: string) => expect(tokens.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' })

describe('an access token', () => {
  it('says who, where, and how they proved it', async () => {
    expect(await tokens.verify(await tokens.mint(claims))).toEqual(claims)
    expect(await tokens.verify(await draft().sign(pair.privateKey))).toEqual(claims)
  })
  it('lives five minutes', async () => {
    const token = await tokens.mint(claims)
    clock.nowMs += accessTokenMs + 31_000
    await refused(token)
  })
  it('is believed for five minutes even if it claims to live longer', async () => {
    const token = await draft()
      .setExpirationTime(clock.nowMs / 1000 + 3600)
      .sign(pair.privateKey)
    clock.nowMs += accessTokenMs + 31_000
    await refused(token)
  })
  it('without a signature is none', async () => {
    await refused(
      new UnsecuredJWT({ ...payload(), sub: 'usr_a', iss: issuer, aud: audience }).setExpirationTime('5m').encode(),
    )
    const [, body] = (await tokens.mint(claims)).split('.')
    for (const alg of ['none', 'None', 'NONE', ''])
      await refused(`${Buffer.from(JSON.stringify({ alg, typ: 'at+jwt', kid: 'k1' })).toString('base64url')}.${body}.`)
  })
  it('signed by another key, or with the public key as if it were a secret, is none', async () => {
    const other = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
    await refused(await draft().sign(other.privateKey))
    const secret = Buffer.from(await exportSPKI(pair.publicKey))
    await refused(await draft({ alg: 'HS256' }).sign(secret))
    const rsa = await generateKeyPair('RS256')
    await refused(await draft({ alg: 'RS256' }).sign(rsa.privateKey))
  })
  it('of another kind, audience, issuer, key or time is none', async () => {
    const sign = (jwt: SignJWT) => jwt.sign(pair.privateKey)
    const now = clock.nowMs / 1000
    for (const token of [
      await sign(draft({ typ: 'JWT' })),
      await sign(draft({ typ: undefined })),
      await sign(draft({ kid: 'k2' })),
      await sign(draft({ kid: undefined })),
      await sign(draft().setAudience('somebody-else')),
      await sign(draft().setIssuer('https://evil.example')),
      await sign(draft().setIssuer(`${issuer}/`)),
      await sign(draft().setIssuedAt(now + 3600)),
      await sign(draft().setNotBefore(now + 3600)),
      await sign(draft().setSubject('')),
      'a.b.c',
      '',
    ])
      await refused(token)
  })
  it('that was changed is none', async () => {
    const [header, body, signature] = (await tokens.mint(claims)).split('.') as [string, string, string]
    const richer = { ...JSON.parse(Buffer.from(body, 'base64url').toString()), tenant: 'ten_b' }
    await refused(`${header}.${Buffer.from(JSON.stringify(richer)).toString('base64url')}.${signature}`)
  })
})
