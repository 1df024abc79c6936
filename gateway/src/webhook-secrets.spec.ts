import { describe, expect, it } from 'vitest'
import { createWebhookSecrets, signWebhook } from './webhook-secrets.ts'

const secrets = createWebhookSecrets('x'.repeat(32))
const body = Buffer.from('{"a":1}')
const nowMs = 1_800_000_000_000
const seconds = nowMs / 1000

describe('webhook secrets', () => {
  const { secret, sealed } = secrets.create('ten_a', 'hook')
  const target = { tenant: 'ten_a', triggerId: 'hook', sealed }
  const verify =
    (signature: string | undefined, given = body, at = nowMs, to = target, eventId: string | undefined = undefined) =>
    () =>
      secrets.verify(to, signature, eventId, given, at)

  it('are sealed, and check what they signed', () => {
    expect(sealed).not.toContain(secret.slice(4))
    expect(verify(signWebhook(secret, body, seconds))).not.toThrow()
  })

  it('refuse another body, another secret, an old time and other headers', () => {
    const good = signWebhook(secret, body, seconds)
    expect(verify(good, Buffer.from('{"a":2}'))).toThrow(/does not fit the body and the id/)
    expect(verify(signWebhook('whs_other', body, seconds))).toThrow(/does not fit/)
    expect(verify(good, body, nowMs + 301_000)).toThrow(/more than five minutes/)
    expect(verify(undefined)).toThrow(/expected t=/)
    expect(verify('t=1,v1=zz')).toThrow(/expected t=/)
  })

  it('make one event of one delivery: neither another id nor another way to write the time makes it look new', () => {
    const unnamed = signWebhook(secret, body, seconds)
    expect(verify(unnamed, body, nowMs, target, 'e2')).toThrow(/does not fit/)
    const named = signWebhook(secret, body, seconds, 'e.1')
    expect(verify(named, body, nowMs, target, 'e.1')).not.toThrow()
    expect(verify(named, body, nowMs, target, 'e.2')).toThrow(/does not fit/)
    expect(verify(named, body, nowMs, target)).toThrow(/does not fit/)
    expect(verify(named, Buffer.from(`1,${body}`), nowMs, target, 'e')).toThrow(/does not fit/)
    expect(verify(unnamed.replace('t=', 't=00'))()).toBe(verify(unnamed)())
  })

  it('belong to one trigger of one tenant', () => {
    const good = signWebhook(secret, body, seconds)
    expect(verify(good, body, nowMs, { ...target, tenant: 'ten_b' })).toThrow()
    expect(verify(good, body, nowMs, { ...target, triggerId: 'other' })).toThrow()
  })
})
