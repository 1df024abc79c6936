import type { AcceptedEvent } from '@omium/log'
import { aggregateKey, OmiumError } from '@omium/schemas'
import { mintWorkerToken, serviceTokenMs } from '@omium/worker-tokens'
import { describe, expect, it } from 'vitest'
import { type Admitted, createAdmission } from './admission.ts'

const tokenSecret = 'a secret of at least thirty-two characters'
const svc = `${Buffer.from(JSON.stringify({ typ: 'svc+jwt' })).toString('base64url')}.x.y`

const bench = (permissions = ['workers:connect']) => {
  const clock = { now: 1_000_000_000 }
  const admission = createAdmission({
    tokenSecret,
    nowMs: () => clock.now,
    verifyService: async () =>
      ({ tenant: 'ten_a', source: { user: 'usr_a', session: 'ses_a' }, permissions, issuedAt: clock.now }) as never,
  })
  const token = (keyId = 'key_1', at = clock.now) =>
    mintWorkerToken(tokenSecret, { tenant: 'ten_a', keyId, expiresAt: at + serviceTokenMs })
  const happens = (type: string, aggregate: string, data: object = {}, time = clock.now) =>
    admission.observe({ type, data, envelope: { type, tenant: 'ten_a', aggregate, time } } as unknown as AcceptedEvent)
  return { admission, clock, token, happens }
}
const key = (id: string) => aggregateKey('api_key', 'ten_a', id)

describe('admission', () => {
  it('takes worker tokens of keys, until the key is revoked', () => {
    const { admission, clock, token, happens } = bench()
    const before = token()
    const admitted = admission.admit(before) as Admitted
    expect(admitted).toMatchObject({ tenant: 'ten_a', actor: 'key:key_1' })
    let told = 0
    admission.onRevoked(() => told++)
    clock.now += 1
    happens('ApiKeyRevoked', key('key_1'))
    expect(told).toBe(1)
    expect(admission.isVoid(admitted)).toBe(true)
    expect(() => admission.admit(before)).toThrow(expect.objectContaining({ code: 'unauthenticated' }))
    happens('SsoRequired', aggregateKey('tenant', 'ten_a', 'ten_a'), { required: true })
    // another key, and what a gateway issued after it looked
    expect(admission.isVoid(admission.admit(token('key_2')) as Admitted)).toBe(false)
    clock.now += 1
    expect(admission.isVoid(admission.admit(token()) as Admitted)).toBe(false)
  })
  it.each([
    ['SessionEnded', { sessionId: 'ses_a' }],
    ['MemberRemoved', { userId: 'usr_a' }],
    ['MemberRoleChanged', { userId: 'usr_a' }],
    ['SsoRequired', { required: true }],
  ])('takes service tokens of people, until %s', async (type, data) => {
    const { admission, clock, happens } = bench()
    const admitted = await admission.admit(svc)
    expect(admitted).toMatchObject({ actor: 'user:usr_a' })
    clock.now += 1
    happens(type, aggregateKey('tenant', 'ten_a', 'ten_a'), data)
    expect(admission.isVoid(admitted)).toBe(true)
  })
  it('takes none without the permission, and none that cannot be verified', async () => {
    await expect(bench(['executions:read']).admission.admit(svc)).rejects.toMatchObject({ code: 'forbidden' })
    expect(() => bench().admission.admit('a.b')).toThrow(OmiumError)
  })
  it('hears of what may still matter only', () => {
    const { admission, clock } = bench()
    const wants = (type: string, time: number) => admission.wants({ type, time } as never)
    expect(wants('ApiKeyRevoked', clock.now)).toBe(true)
    expect(wants('ApiKeyRevoked', clock.now - 3 * serviceTokenMs)).toBe(false)
    expect(wants('SessionRefreshed', clock.now)).toBe(false)
  })
})
