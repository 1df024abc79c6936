import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { WebhookSecrets } from '@omium/webhook-secrets'
import { describe, expect, it } from 'vitest'
import { createTriggerSignatures, signWebhook } from './trigger-signatures.ts'

const tokenSecret = 'x'.repeat(32)
const body = Buffer.from('{"a":1}')
const nowMs = 1_800_000_000_000
const seconds = nowMs / 1000
const target = { tenant: 'ten_a', triggerId: 'hook', sealed: 'wsk_1' }

/** keeps one secret */
const secrets = (known = ''): Pick<WebhookSecrets, 'keep' | 'open'> => ({
  keep: async (tenant, owner, secret) => {
    known = `${tenant}/${owner}/wsk_1 ${secret}`
    return 'wsk_1'
  },
  open: async (tenant, owner, id) => {
    const [name, secret = ''] = known.split(' ')
    if (name !== `${tenant}/${owner}/${id}`) throw new Error('no such secret')
    return secret
  },
})
const bench = async () => {
  const signatures = createTriggerSignatures(secrets(), tokenSecret)
  const { secret, sealed } = await signatures.create('ten_a', 'hook')
  const verify = (signature: string | undefined, given = body, at = nowMs, to = target, eventId?: string) =>
    signatures.verify(to, signature, eventId, given, at)
  return { signatures, secret, sealed, verify }
}

describe('signatures of triggers', () => {
  it('are checked with the secret that the trigger has', async () => {
    const { secret, sealed, verify } = await bench()
    expect(sealed).not.toContain(secret.slice(4))
    expect(await verify(signWebhook(secret, body, seconds))).toMatch(/^t=/)
  })

  it('refuse another body, another secret, an old time and other headers', async () => {
    const { secret, verify } = await bench()
    const good = signWebhook(secret, body, seconds)
    await expect(verify(good, Buffer.from('{"a":2}'))).rejects.toThrow(/does not fit the body and the id/)
    await expect(verify(signWebhook('whs_other', body, seconds))).rejects.toThrow(/does not fit/)
    await expect(verify(good, body, nowMs + 301_000)).rejects.toThrow(/more than five minutes/)
    await expect(verify(undefined)).rejects.toThrow(/expected t=/)
    await expect(verify('t=1,v1=zz')).rejects.toThrow(/expected t=/)
  })

  it('make one event of one delivery: neither another id nor another way to write the time makes it look new', async () => {
    const { secret, verify } = await bench()
    const unnamed = signWebhook(secret, body, seconds)
    await expect(verify(unnamed, body, nowMs, target, 'e2')).rejects.toThrow(/does not fit/)
    const named = signWebhook(secret, body, seconds, 'e.1')
    expect(await verify(named, body, nowMs, target, 'e.1')).toBe(named)
    await expect(verify(named, body, nowMs, target, 'e.2')).rejects.toThrow(/does not fit/)
    await expect(verify(named, body, nowMs, target)).rejects.toThrow(/does not fit/)
    await expect(verify(named, Buffer.from(`1,${body}`), nowMs, target, 'e')).rejects.toThrow(/does not fit/)
    expect(await verify(unnamed.replace('t=', 't=00'))).toBe(await verify(unnamed))
  })

  it('belong to one trigger of one tenant', async () => {
    const { secret, verify } = await bench()
    const good = signWebhook(secret, body, seconds)
    await expect(verify(good, body, nowMs, { ...target, tenant: 'ten_b' })).rejects.toThrow()
    await expect(verify(good, body, nowMs, { ...target, triggerId: 'other' })).rejects.toThrow()
  })

  it('are checked for older triggers, whose secrets stand in them', async () => {
    const { verify } = await bench()
    const iv = randomBytes(12)
    const key = Buffer.from(hkdfSync('sha256', tokenSecret, '', 'omium.webhook-secret.v1', 32))
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from('ten_a/hook'))
    const text = Buffer.concat([cipher.update('whs_former', 'utf8'), cipher.final()])
    const sealed = [iv, cipher.getAuthTag(), text].map((part) => part.toString('base64url')).join('.')
    const good = signWebhook('whs_former', body, seconds)
    expect(await verify(good, body, nowMs, { ...target, sealed })).toBe(good)
    await expect(verify(good, body, nowMs, { ...target, sealed, tenant: 'ten_b' })).rejects.toThrow()
  })
})
