import { createEndedSessions } from '@omium/access'
import type { SessionRecord } from '@omium/projection-identity'
import { OmiumError } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { createCookies } from './cookies.ts'
import { createSessionCallers } from './session-callers.ts'
import type { AccessClaims } from './tokens/access-tokens.ts'

const own = 'https://omium.example'
const good = `ey${'a'.repeat(40)}`
const claims: AccessClaims = {
  userId: 'usr_a',
  sessionId: 'ses_a',
  tenant: 'ten_a',
  amr: [],
  authenticatedAt: 1_000,
  client: 'browser',
}

const bench = () => {
  const ended = createEndedSessions()
  const state = { nowMs: 10_000, ended: false, away: false, userId: 'usr_a', asked: 0 }
  const callers = createSessionCallers({
    access: {
      mint: async () => good,
      verify: async (token) => {
        if (token === good) return claims
        throw new OmiumError('unauthenticated', 'not valid')
      },
    },
    cookies: createCookies(own),
    publicOrigin: own,
    session: async () => {
      state.asked++
      if (state.away) throw new Error('connect ECONNREFUSED')
      const endedAt = state.ended ? new Date(state.nowMs) : null
      return { userId: state.userId, endedAt, expiresAt: new Date(1_000_000) } as SessionRecord
    },
    ended,
    isFollowed: async () => true,
    nowMs: () => state.nowMs,
  })
  return { state, callers, ended }
}
const cookie = `__Host-omium_access=${good}`

describe('who asks', () => {
  it('is known by bearer token or by cookie', async () => {
    const { callers } = bench()
    expect(await callers.callerOf({ authorization: `Bearer ${good}` }, 'POST')).toEqual(claims)
    expect(await callers.callerOf({ cookie }, 'GET')).toEqual(claims)
    expect(await callers.callerOf({ cookie, 'sec-fetch-site': 'same-origin' }, 'POST')).toEqual(claims)
  })
  it('is nobody any more once the log says so, also while the database is away', async () => {
    const { callers, state, ended } = bench()
    expect(await callers.callerOf({ cookie }, 'GET')).toEqual(claims)
    state.away = true
    ended.add('ses_a')
    expect(await callers.callerOf({ cookie }, 'GET')).toBeUndefined()
  })
  it('is nobody without a live token, and a cookie does not stand in for a bad bearer token', async () => {
    const { callers } = bench()
    const nobody = [
      {},
      { cookie: `omium_access=${good}` },
      { cookie: '__Host-omium_access=eyforged' },
      { authorization: 'Bearer om_live_x', cookie },
      { authorization: `Bearer ey${'b'.repeat(40)}`, cookie },
      { authorization: `Basic ${good}` },
      { cookie: `${cookie}; ${'x'.repeat(9_000)}` },
    ]
    for (const headers of nobody) expect(await callers.callerOf(headers, 'GET')).toBeUndefined()
  })
  it('is refused when another site asks for a change or opens a WebSocket with the cookie', async () => {
    const { callers } = bench()
    const foreign = { cookie, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
      await expect(callers.callerOf(foreign, method)).rejects.toMatchObject({ code: 'origin_refused' })
    const socket = { cookie, upgrade: 'websocket', origin: 'https://evil.example' }
    await expect(callers.callerOf(socket, 'GET')).rejects.toMatchObject({ code: 'origin_refused' })
    expect(await callers.callerOf({ ...socket, origin: own }, 'GET')).toEqual(claims)
  })
  it('is out two seconds after the session ended, and stays in while the database is away', async () => {
    const { state, callers } = bench()
    await callers.callerOf({ cookie }, 'GET')
    await callers.callerOf({ cookie }, 'GET')
    expect(state.asked).toBe(1)
    state.nowMs += 2_000
    state.away = true
    expect(await callers.callerOf({ cookie }, 'GET')).toEqual(claims)
    state.nowMs += 2_000
    Object.assign(state, { away: false, ended: true })
    expect(await callers.callerOf({ cookie }, 'GET')).toBeUndefined()
  })
  it("is nobody with a token for somebody else's session", async () => {
    const { state, callers } = bench()
    state.userId = 'usr_b'
    expect(await callers.callerOf({ cookie }, 'GET')).toBeUndefined()
  })
})
