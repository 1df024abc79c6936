import type { DeviceGrantCommand, DeviceGrantEvent } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import type { Decision } from './decision.ts'
import { type DeviceGrantState, decideDeviceGrant, evolveDeviceGrant } from './device-grant.ts'

const nowMs = 1_000_000
const asked = { actor: 'user:usr_a', nowMs }
const grant = { device: 'd'.repeat(64), code: 'c'.repeat(64), asker: 'a.b.c', expiresAt: nowMs + 600_000 }
const person = {
  userId: 'usr_a',
  approvedBy: 'ses_0',
  tenant: 'ten_a',
  login: { method: 'oidc' as const, issuer: 'https://x.example', subject: 'e'.repeat(64) },
  amr: ['pwd'],
  authenticatedAt: nowMs - 5,
}
const approve: DeviceGrantCommand = { type: 'ApproveDeviceGrant', data: { ...person, code: grant.code } }
const deny: DeviceGrantCommand = { type: 'DenyDeviceGrant', data: { userId: 'usr_a', code: grant.code } }
const redeem: DeviceGrantCommand = { type: 'RedeemDeviceGrant', data: { device: grant.device, sessionId: 'ses_1' } }

const after = (...events: DeviceGrantEvent[]): DeviceGrantState | undefined =>
  events.reduce<DeviceGrantState | undefined>((state, event) => evolveDeviceGrant(state, event, 'cor'), undefined)
const requested: DeviceGrantEvent = { type: 'DeviceGrantRequested', data: grant }
const approved: DeviceGrantEvent = { type: 'DeviceGrantApproved', data: person }
const denied: DeviceGrantEvent = { type: 'DeviceGrantDenied', data: { userId: 'usr_a' } }
const redeemed: DeviceGrantEvent = { type: 'DeviceGrantRedeemed', data: { sessionId: 'ses_1', at: nowMs } }

const told = (decision: Decision<DeviceGrantEvent>) =>
  decision.status === 'refused' ? decision.code : decision.events.map(({ type }) => type)

describe('a device that asks for a session', () => {
  it('is let in by a person, once, and comes in once', () => {
    expect(told(decideDeviceGrant(undefined, { type: 'RequestDeviceGrant', data: grant }, asked))).toEqual([
      'DeviceGrantRequested',
    ])
    expect(decideDeviceGrant(after(requested), approve, asked)).toEqual({ status: 'decided', events: [approved] })
    expect(told(decideDeviceGrant(after(requested, approved), approve, asked))).toEqual([])
    expect(decideDeviceGrant(after(requested, approved), redeem, asked)).toEqual({
      status: 'decided',
      events: [redeemed],
    })
    expect(told(decideDeviceGrant(after(requested, approved, redeemed), redeem, asked))).toBe('sign_in_expired')
  })
  it('is turned away, and stays away', () => {
    expect(told(decideDeviceGrant(after(requested), deny, asked))).toEqual(['DeviceGrantDenied'])
    for (const command of [approve, redeem])
      expect(told(decideDeviceGrant(after(requested, denied), command, asked))).toBe('sign_in_expired')
  })
  it.each<[string, DeviceGrantState | undefined, DeviceGrantCommand, number]>([
    ['nobody decided', after(requested), redeem, nowMs],
    ['never asked', undefined, approve, nowMs],
    ['time is over', after(requested), approve, grant.expiresAt],
    ['time is over after the approval', after(requested, approved), redeem, grant.expiresAt],
    [
      'the code is another',
      after(requested),
      { ...approve, data: { ...approve.data, code: 'f'.repeat(64) } } as DeviceGrantCommand,
      nowMs,
    ],
    [
      'the device is another',
      after(requested, approved),
      { ...redeem, data: { device: 'f'.repeat(64), sessionId: 'ses_2' } } as DeviceGrantCommand,
      nowMs,
    ],
    ['the approval is taken back', after(requested, approved), deny, nowMs],
    ['it expired', after(requested, { type: 'DeviceGrantExpired', data: {} }), approve, nowMs],
  ])('is refused in the same words when %s', (_what, state, command, at) => {
    const refusal = decideDeviceGrant(state, command, { ...asked, nowMs: at })
    expect(refusal).toEqual(decideDeviceGrant(undefined, approve, asked))
  })
  it('is let in by nobody for somebody else', () => {
    expect(told(decideDeviceGrant(after(requested), approve, { ...asked, actor: 'user:usr_b' }))).toBe('forbidden')
  })
})
