import { eventually } from '@omium/dev/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBench } from './bench.ts'
import { Browser, type Page } from './browser.ts'

/** Programs without a browser are let in by people (RFC 8628). */
let bench: Awaited<ReturnType<typeof startBench>>
let ada: Browser

beforeAll(async () => {
  bench = await startBench()
  ada = await signedIn('ada@example.com')
}, 180_000)
afterAll(() => bench?.close())

const at = (path: string): string => `${bench.url}${path}`
const signedIn = async (email: string): Promise<Browser> => {
  const browser = new Browser()
  const before = bench.mails.filter(({ to }) => to === email).length
  expect((await browser.visit(at('/auth/magic-links'), { form: { email } })).status).toBe(200)
  expect((await browser.visit(await bench.linkTo(email, before + 1))).status).toBe(200)
  return browser
}
const post = async (path: string, form: Record<string, string>, from = '203.0.113.9') => {
  const response = await fetch(at(path), {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-for': from },
    body: new URLSearchParams(form),
  })
  return { status: response.status, body: (await response.json()) as Record<string, string> }
}
interface Asked {
  device_code: string
  user_code: string
  verification_uri: string
}
const ask = async (from?: string): Promise<Asked> => {
  const { status, body } = await post('/auth/device', { client_id: 'omium-cli' }, from)
  expect(status).toBe(200)
  expect(body).toMatchObject({ expires_in: 600, interval: 5, verification_uri: at('/auth/device') })
  return body as unknown as Asked
}
const poll = (device_code: string, more: Record<string, string> = {}) =>
  post('/auth/token', {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    client_id: 'omium-cli',
    device_code,
    ...more,
  })
/** The next answer that is not about how often it is asked. */
const answer = (device_code: string) =>
  eventually(
    async () => {
      const polled = await poll(device_code)
      expect(polled.body['error']).not.toBe('slow_down')
      return polled
    },
    { timeoutMs: 20_000, intervalMs: 500 },
  )
const review = (browser: Browser, user_code: string): Promise<Page> =>
  browser.visit(at('/auth/device/review'), { form: { user_code } })
const decide = (browser: Browser, user_code: string, decision: string): Promise<Page> =>
  browser.visit(at('/auth/device/decide'), { form: { user_code, decision } })
const codeOf = ({ text }: Page): string => /<small><code>(\w+)<\/code>/.exec(text)?.[1] ?? text

describe('a program', () => {
  it('is let in as the person who types its code, once', async () => {
    const { device_code, user_code } = await ask()
    expect(user_code).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/)
    expect((await poll(device_code)).body['error']).toBe('authorization_pending')
    expect((await poll(device_code)).body['error']).toBe('slow_down')
    const page = await review(ada, ` ${user_code.toLowerCase().replace('-', ' ')}`)
    expect(page.text).toContain(user_code)
    expect(page.text).toContain('ada@example.com')
    expect((await decide(ada, user_code, 'approved')).text).toContain('The program is in')
    const { status, body } = await answer(device_code)
    expect([status, body['token_type'], body['expires_in']]).toEqual([200, 'Bearer', 300])
    const who = await fetch(at('/auth/session'), {
      headers: { authorization: `Bearer ${body['access_token']}`, accept: 'application/json' },
    })
    const me = (await who.json()) as { email: string; sessionId: string }
    expect(me).toMatchObject({ email: 'ada@example.com', amr: ['email'] })
    const { text } = await ada.visit(at('/auth/sessions'), { headers: { accept: 'application/json' } })
    const session = { sessionId: me.sessionId, client: 'cli', current: false, method: 'magic_link' }
    expect(JSON.parse(text).items).toEqual(expect.arrayContaining([expect.objectContaining(session)]))
    const refreshed = await post('/auth/refresh', { refreshToken: body['refresh_token'] ?? '' })
    expect(refreshed.status).toBe(200)
    expect((await answer(device_code)).body['error']).toBe('invalid_grant')
    expect(codeOf(await decide(ada, user_code, 'approved'))).toBe('sign_in_expired')
  })

  it('is turned away, and one that makes its codes up hears nothing', async () => {
    const { device_code, user_code } = await ask()
    expect((await decide(ada, user_code, 'denied')).text).toContain('stays out')
    const [denied, forged, unknown] = await Promise.all([
      answer(device_code),
      answer(`${device_code.slice(0, -4)}AAAA`),
      answer('nonsense'),
    ])
    expect(denied.body['error']).toBe('access_denied')
    expect(forged).toEqual(unknown)
    expect(unknown).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    expect((await post('/auth/device', { client_id: 'other' })).body).toMatchObject({ error: 'invalid_client' })
    expect((await poll(device_code, { grant_type: 'password' })).body['error']).toBe('unsupported_grant_type')
  })

  it('is let in by one of two who allow it at the same moment, and by nobody who has signed out since', async () => {
    const bob = await signedIn('bob@example.com')
    const both = await ask()
    const pages = await Promise.all([ada, bob].map((person) => decide(person, both.user_code, 'approved')))
    expect(pages.filter(({ text }) => text.includes('The program is in'))).toHaveLength(1)
    expect(pages.map(codeOf).filter((code) => code === 'sign_in_expired')).toHaveLength(1)
    const thief = await signedIn('robbed@example.com')
    const owner = await signedIn('robbed@example.com')
    const { device_code, user_code } = await ask()
    expect((await decide(thief, user_code, 'approved')).text).toContain('The program is in')
    await owner.visit(at('/auth/sign-out-everywhere'), { method: 'POST' })
    expect((await answer(device_code)).body).toEqual({
      error: 'invalid_grant',
      error_description: 'the session that let it in has ended',
    })
  })

  it('of somebody else is told from one of the own network, and none is let in by a click or from another site', async () => {
    const mallory = await ask('192.0.2.66')
    const warned = await review(ada, mallory.user_code)
    expect(warned.text).toContain('192.0.2.66')
    expect(warned.text).toContain('another network than yours')
    const near = new Browser('198.51.100.77')
    await near.visit(at('/auth/magic-links'), { form: { email: 'near@example.com' } })
    await near.visit(await bench.linkTo('near@example.com'))
    const own = await ask('198.51.100.77')
    expect((await review(near, own.user_code)).text).toContain('the network that you are in')
    const links = [`/auth/device?user_code=${mallory.user_code}`, `/auth/device/decide?user_code=${mallory.user_code}`]
    const [page, none] = await Promise.all(links.map((link) => ada.visit(at(link))))
    expect(page?.text).not.toContain(mallory.user_code)
    expect(none?.status).toBe(405)
    const crossSite = {
      form: { user_code: mallory.user_code, decision: 'approved' },
      headers: { 'sec-fetch-site': 'cross-site' },
    }
    expect(codeOf(await ada.visit(at('/auth/device/decide'), crossSite))).toBe('origin_refused')
    expect((await answer(mallory.device_code)).body['error']).toBe('authorization_pending')
  })

  it('is let in by people who are signed in, who try a few codes and no more', async () => {
    const { user_code } = await ask()
    const stranger = new Browser()
    const sent = await stranger.visit(at('/auth/device'))
    expect([sent.url.pathname, sent.url.searchParams.get('return_to')]).toEqual(['/auth/sign-in', '/auth/device'])
    expect(codeOf(await decide(stranger, user_code, 'approved'))).toBe('unauthenticated')
    const guesser = await signedIn('guesser@example.com')
    const guesses: string[] = []
    for (let i = 0; i < 11; i++) guesses.push(codeOf(await review(guesser, `BCDFGHJ${'BCDFGHJKLMN'[i]}`)))
    expect(guesses).toEqual([...Array(10).fill('sign_in_expired'), 'rate_limited'])
    expect(codeOf(await decide(guesser, user_code, 'approved'))).toBe('rate_limited')
  })

  it('that needs a fresh proof gets one from whoever lets it in', async () => {
    const cyd = await signedIn('cyd@example.com')
    const page = at('/auth/device?fresh=true')
    expect((await cyd.visit(page)).url.pathname).toBe('/auth/device')
    bench.clock.aheadMs = 11 * 60_000
    try {
      // still in, although the access token is over: the page renews it
      expect((await cyd.visit(at('/auth/device'))).url.pathname).toBe('/auth/device')
      const sent = await cyd.visit(page)
      expect([sent.url.pathname, sent.url.search]).toEqual(['/auth/sign-in', '?fresh=true&return_to=%2Fauth%2Fdevice'])
    } finally {
      bench.clock.aheadMs = 0
    }
  })

  it('leaves neither its codes nor where it asked from in the database', async () => {
    const { device_code, user_code } = await ask('192.0.2.123')
    const { rows } = await bench.pool.query<{ row: string }>('SELECT g::text AS row FROM identity.device_grants g')
    const all = rows.map(({ row }) => row).join('\n')
    expect(all).toContain(device_code.split('.')[0])
    for (const secret of [device_code.split('.')[1] ?? '', user_code, user_code.replace('-', ''), '192.0.2.123'])
      expect(all).not.toContain(secret)
  })
})

it('whoever is under way when the process that decides is killed gets there, and nothing counts twice', async () => {
  const { device_code, user_code } = await ask()
  expect((await decide(ada, user_code, 'approved')).text).toContain('The program is in')
  const late = new Browser()
  await late.visit(at('/auth/magic-links'), { form: { email: 'late@example.com' } })
  const link = await bench.linkTo('late@example.com')
  const refresh = (browser: Browser) => browser.visit(at('/auth/refresh'), { method: 'POST' })
  const before = ada.cookie(bench.url, 'omium_refresh') ?? ''
  const restarted = bench.replaceIdentity()
  // in the middle of it: answered by whoever takes over
  const [polled, opened, refreshed] = await Promise.all([answer(device_code), late.visit(link), refresh(ada)])
  await restarted
  expect([polled.status, opened.status, refreshed.status]).toEqual([200, 200, 200])
  expect(ada.cookie(bench.url, 'omium_refresh')).not.toBe(before)
  expect((await answer(device_code)).body['error']).toBe('invalid_grant')
  await late.visit(at('/auth/sign-out'), { method: 'POST' })
  expect(codeOf(await late.visit(link))).toBe('session_ended')
  expect(codeOf(await decide(ada, user_code, 'approved'))).toBe('sign_in_expired')
})
