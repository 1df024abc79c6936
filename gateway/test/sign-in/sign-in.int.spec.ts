import { eventually } from '@omium/dev/testing'
import { UnsecuredJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startBench } from './bench.ts'
import { Browser, type Page } from './browser.ts'
import type { Forge } from './openid-issuer.ts'

let bench: Awaited<ReturnType<typeof startBench>>

beforeAll(async () => {
  bench = await startBench()
}, 180_000)
afterAll(() => bench?.close())
afterEach(() => {
  bench.issuer.forge = undefined
  bench.interference.after = undefined
})

const at = (path: string): string => `${bench.url}${path}`
const json = { accept: 'application/json' }
const askForLink = (browser: Browser, email: string, more: Record<string, string> = {}): Promise<Page> =>
  browser.visit(at('/auth/magic-links'), { form: { email, ...more } })

interface Me {
  userId: string
  email: string
  sessionId: string
  tenant: string
  memberships: { tenant: string; name: string; role: string }[]
}
const whoami = async (browser: Browser): Promise<Me> =>
  JSON.parse((await browser.visit(at('/auth/session'), { headers: json })).text) as Me

const signInByMail = async (browser: Browser, email: string): Promise<Me> => {
  const before = bench.mails.filter(({ to }) => to === email).length
  expect((await askForLink(browser, email)).status).toBe(200)
  expect((await browser.visit(await bench.linkTo(email, before + 1))).status).toBe(200)
  return whoami(browser)
}
const viaProvider = (browser: Browser, provider: string, query = ''): Promise<Page> =>
  browser.visit(at(`/auth/providers/${provider}/start${query}`))
const codeOf = ({ text }: Page): string => /<code>(\w+)<\/code>/.exec(text)?.[1] ?? text

/** The way to the provider and back, up to the callback, which is not visited yet. */
const answerOf = async (browser: Browser, provider: string): Promise<URL> => {
  let next = await browser.visit(at(`/auth/providers/${provider}/start`), { follow: false })
  for (;;) {
    const location = new URL(next.headers.get('location') ?? '', next.url)
    if (location.pathname.endsWith('/callback')) return location
    next = await browser.visit(location, { follow: false })
  }
}

describe('a link by mail', () => {
  it('makes a user with a tenant of their own, and signs them in', async () => {
    const browser = new Browser()
    const page = await browser.visit(at('/auth/sign-in?return_to=/app/runs'))
    expect(page.status).toBe(200)
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(page.text).not.toContain('<script')
    expect(codeOf(await askForLink(browser, 'Ada@Example.com '))).toContain('Check your mail')
    const landed = await browser.visit(await bench.linkTo('ada@example.com'), { follow: false })
    expect([landed.status, landed.headers.get('location')]).toEqual([303, '/auth/session'])
    const me = await whoami(browser)
    expect(me).toMatchObject({
      email: 'ada@example.com',
      memberships: [{ tenant: me.tenant, role: 'owner', name: 'Personal' }],
    })
    expect((await browser.visit(at('/auth/session'))).text).toContain('ada@example.com')
  })
  it('opens in the browser that asked for it only', async () => {
    const [asked, other] = [new Browser(), new Browser()]
    await askForLink(asked, 'bob@example.com')
    const link = await bench.linkTo('bob@example.com')
    expect(codeOf(await other.visit(link))).toBe('magic_link_other_browser')
    await askForLink(other, 'mallory@example.com')
    expect(codeOf(await other.visit(link))).toBe('magic_link_other_browser')
    expect((await asked.visit(link)).status).toBe(200)
  })
  it('is not used up by a scanner of mails, and the answer tells no other site of it', async () => {
    const browser = new Browser()
    await askForLink(browser, 'scanned@example.com')
    const link = await bench.linkTo('scanned@example.com')
    for (const method of ['HEAD', 'GET', 'GET']) expect((await fetch(link, { method })).status).toBe(403)
    const page = await browser.visit(link, { follow: false })
    expect(page.status).toBe(303)
    expect(page.headers.get('referrer-policy')).toBe('same-origin')
  })
  it('goes to the one who has the address, however it is written, and to nobody who has one that only looks like it', async () => {
    const me = await signInByMail(new Browser(), 'kelly@example.com')
    const browser = new Browser()
    await askForLink(browser, ' KELLY@EXAMPLE.COM ')
    await browser.visit(await bench.linkTo('kelly@example.com', 2))
    expect((await whoami(browser)).userId).toBe(me.userId)
    // the Kelvin sign is `k` in lower case; the others are letters of their own
    for (const email of [
      '\u212Aelly@example.com',
      'kell\u0131@example.com',
      'kelly@ex\u0430mple.com',
      'kelly@example.com\u0000',
    ])
      expect((await askForLink(new Browser(), email)).status, email).toBe(422)
    expect(bench.mails.filter(({ to }) => to === 'kelly@example.com')).toHaveLength(2)
    expect((await signInByMail(new Browser(), 'kelly+1@example.com')).userId).not.toBe(me.userId)
    bench.issuer.account = { sub: 'kelvin', email: '\u212Aelly@example.com', email_verified: true }
    expect(codeOf(await viaProvider(new Browser(), 'corp'))).toBe('address_unverified')
  })
  it('clicked twice is one session, also at once; signed out, it opens nothing', async () => {
    const browser = new Browser()
    await askForLink(browser, 'eve@example.com')
    const link = await bench.linkTo('eve@example.com')
    const pages = await Promise.all([browser.visit(link), browser.visit(link)])
    expect(pages.map(({ status }) => status)).toEqual([200, 200])
    const list = JSON.parse((await browser.visit(at('/auth/sessions'), { headers: json })).text)
    expect(list.items).toMatchObject([{ current: true, method: 'magic_link' }])
    await browser.visit(at('/auth/sign-out'), { method: 'POST' })
    expect((await browser.visit(at('/auth/session'), { headers: json })).status).toBe(401)
    expect(codeOf(await browser.visit(link))).toBe('session_ended')
  })
  it('that was changed, or is for something else, is none', async () => {
    const browser = new Browser()
    await askForLink(browser, 'flo@example.com')
    const link = new URL(await bench.linkTo('flo@example.com'))
    const token = link.searchParams.get('token') ?? ''
    const transaction = await browser.visit(at('/auth/providers/corp/start'), { follow: false })
    expect(transaction.status).toBe(303)
    for (const forged of [`${token.slice(0, -6)}AAAAAA`, browser.cookie(bench.url, 'omium_provider') ?? '', 'x'])
      expect(codeOf(await browser.visit(at(`/auth/magic-links/open?token=${forged}`)))).toBe('sign_in_expired')
  })
  it('is answered in the same words for those who are known and those who are not', async () => {
    await signInByMail(new Browser(), 'known@example.com')
    const [known, unknown] = await Promise.all(
      ['known@example.com', 'unknown@example.com'].map((email) => askForLink(new Browser(), email)),
    )
    expect(known?.text).toBe(unknown?.text)
    expect(known?.status).toBe(unknown?.status)
  })
  it('is sent a few times to an address, and to a visitor a few times more', async () => {
    const statuses: number[] = []
    for (let index = 0; index < 6; index++)
      statuses.push((await askForLink(new Browser(), 'flooded@example.com')).status)
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429])
    const attacker = new Browser()
    const tries = Array.from({ length: 101 }, () => attacker.visit(at('/auth/magic-links/open?token=guess')))
    const refused = (await Promise.all(tries)).filter(({ status }) => status === 429)
    expect(refused).toHaveLength(1)
    expect(codeOf(refused[0] as Page)).toBe('rate_limited')
  })
})

describe('a first sign-in', () => {
  const counts = async (email: string) => {
    const { rows } = await bench.pool.query(
      `SELECT (SELECT count(*)::int FROM identity.users u JOIN identity.addresses a ON a.user_id = u.id WHERE u.address = a.digest) AS users,
              (SELECT count(*)::int FROM identity.tenants) AS tenants, (SELECT count(*)::int FROM identity.users) AS all`,
    )
    return { email, ...rows[0] } as { users: number; tenants: number; all: number }
  }

  it('that crashes between any two steps is completed by the next, with one user and one tenant', async () => {
    const steps = ['ClaimAddress', 'RegisterUser', 'FoundTenant', 'StartSession']
    for (const step of steps) {
      bench.issuer.account = {
        sub: `crash-${step}`,
        email: `crash-${step}@example.com`.toLowerCase(),
        email_verified: true,
      }
      const before = await counts(step)
      let crashed = false
      bench.interference.after = (type) => {
        crashed = type === step
        if (crashed) throw new Error('crashed')
      }
      const browser = new Browser()
      const { status } = await viaProvider(browser, 'corp')
      // the identity service founds the tenant as well; when it is first, nothing is left to ask for
      if (step !== 'FoundTenant') expect(crashed, step).toBe(true)
      expect(status).toBe(crashed ? 500 : 200)
      bench.interference.after = undefined
      expect((await viaProvider(browser, 'corp')).status).toBe(200)
      const me = await whoami(browser)
      expect(me.memberships).toMatchObject([{ tenant: me.tenant, name: 'Personal', role: 'owner' }])
      const after = await counts(step)
      expect([after.users - before.users, after.tenants - before.tenants, after.all - before.all]).toEqual([1, 1, 1])
    }
  })
  it('twice at the same moment, in two ways, makes one user with one tenant', async () => {
    bench.issuer.account = { sub: 'twice', email: 'twice@example.com', email_verified: true }
    bench.github.user = { id: 77, login: 'twice', name: 'Twice' }
    bench.github.emails = [{ email: 'twice@example.com', primary: true, verified: true }]
    const before = await counts('twice')
    const browsers = [new Browser(), new Browser(), new Browser()] as const
    const pages = await Promise.all([
      viaProvider(browsers[0], 'corp'),
      viaProvider(browsers[1], 'github'),
      viaProvider(browsers[2], 'corp'),
    ])
    expect(pages.map(({ status }) => status)).toEqual([200, 200, 200])
    const people = await Promise.all(browsers.map(whoami))
    expect(new Set(people.map(({ userId }) => userId)).size).toBe(1)
    expect(new Set(people.map(({ tenant }) => tenant)).size).toBe(1)
    const after = await counts('twice')
    expect([after.all - before.all, after.tenants - before.tenants]).toEqual([1, 1])
  })
})

describe('an OpenID provider', () => {
  const forged = async (forge: Forge): Promise<string> => {
    bench.issuer.account = { sub: 'victim', email: 'victim@example.com', email_verified: true }
    bench.issuer.forge = forge
    return codeOf(await viaProvider(new Browser(), 'corp'))
  }

  it('signs in whom it knows, and they land where they wanted to go', async () => {
    bench.issuer.account = { sub: 'gus', email: 'gus@example.com', email_verified: true, name: 'Gus' }
    const browser = new Browser()
    const answer = await answerOf(browser, 'corp')
    expect((await browser.visit(answer, { follow: false })).headers.get('location')).toBe('/auth/session')
    expect(await whoami(browser)).toMatchObject({ email: 'gus@example.com', name: 'Gus' })
    const again = new Browser()
    await viaProvider(again, 'corp')
    expect((await whoami(again)).userId).toBe((await whoami(browser)).userId)
  })
  it('is one way in among others: the same verified address is the same user', async () => {
    const me = await signInByMail(new Browser(), 'hal@example.com')
    bench.issuer.account = { sub: 'hal', email: 'HAL@example.com', email_verified: true }
    const browser = new Browser()
    await viaProvider(browser, 'corp')
    expect((await whoami(browser)).userId).toBe(me.userId)
  })
  it('that does not vouch for the address, or is not trusted to, opens nothing', async () => {
    await signInByMail(new Browser(), 'ida@example.com')
    bench.issuer.account = { sub: 'ida', email: 'ida@example.com', email_verified: false }
    expect(codeOf(await viaProvider(new Browser(), 'corp'))).toBe('address_unverified')
    bench.issuer.account = { sub: 'ida', email: 'ida@example.com', email_verified: true }
    expect(codeOf(await viaProvider(new Browser(), 'untrusted'))).toBe('address_unverified')
  })
  it('is not believed when its ID token is forged', async () => {
    const soon = () => Math.floor(Date.now() / 1000) + 300
    const long = Math.floor(Date.now() / 1000) - 3600
    const attempts: Record<string, Forge> = {
      'no signature': async (claims) => new UnsecuredJWT(claims).encode(),
      'broken signature': async (claims, sign) => `${(await sign(claims)).slice(0, -8)}AAAAAAAA`,
      'changed after signing': async (claims, sign) => {
        const [header, , signature] = (await sign(claims)).split('.')
        return `${header}.${Buffer.from(JSON.stringify({ ...claims, sub: 'admin' })).toString('base64url')}.${signature}`
      },
      'wrong nonce': (claims, sign) => sign({ ...claims, nonce: 'other' }),
      'no nonce': ({ nonce: _, ...claims }, sign) => sign(claims),
      'wrong audience': (claims, sign) => sign({ ...claims, aud: 'somebody-else' }),
      'wrong issuer': (claims, sign) => sign({ ...claims, iss: 'https://evil.example' }),
      expired: (claims, sign) => sign({ ...claims, iat: long, exp: long + 60 }),
      'another algorithm': (claims, sign) => sign({ ...claims, exp: soon() }, 'PS256'),
    }
    for (const [name, forge] of Object.entries(attempts)) expect(await forged(forge), name).toBe('sign_in_refused')
    expect(await forged((claims, sign) => sign(claims))).not.toBe('sign_in_refused')
  })
  it('answers one sign-in, once, in one browser', async () => {
    bench.issuer.account = { sub: 'joe', email: 'joe@example.com', email_verified: true }
    const browser = new Browser()
    const answer = await answerOf(browser, 'corp')
    const transaction = browser.cookie(bench.url, 'omium_provider') ?? ''
    // somebody else's browser, without and with a sign-in of its own under way
    const victim = new Browser()
    expect(codeOf(await victim.visit(answer))).toBe('sign_in_expired')
    const own = await answerOf(victim, 'corp')
    const victims = victim.cookie(bench.url, 'omium_provider') ?? ''
    expect(codeOf(await victim.visit(answer))).toBe('sign_in_refused')
    // an attacker's code with the victim's own state: the code belongs to another verifier
    victim.plant(bench.url, 'omium_provider', victims)
    const injected = new URL(own)
    injected.searchParams.set('code', answer.searchParams.get('code') ?? '')
    expect(codeOf(await victim.visit(injected))).toBe('sign_in_refused')

    const changes: Record<string, (url: URL) => void> = {
      'another state': (url) => url.searchParams.set('state', 'forged'),
      'no state': (url) => url.searchParams.delete('state'),
      'two states': (url) => url.searchParams.append('state', 'forged'),
      'another issuer': (url) => url.searchParams.set('iss', 'https://evil.example'),
      'no issuer': (url) => url.searchParams.delete('iss'),
      'no code': (url) => url.searchParams.delete('code'),
    }
    for (const [name, change] of Object.entries(changes)) {
      const tampered = new URL(answer)
      change(tampered)
      browser.plant(bench.url, 'omium_provider', transaction)
      expect(codeOf(await browser.visit(tampered)), name).toBe('sign_in_refused')
    }
    browser.plant(bench.url, 'omium_provider', transaction)
    expect(codeOf(await browser.visit(answer.href.replace('/corp/', '/other/'))), 'mix-up').toBe('sign_in_expired')
    browser.plant(bench.url, 'omium_provider', `${transaction.slice(0, -6)}AAAAAA`)
    expect(codeOf(await browser.visit(answer)), 'changed cookie').toBe('sign_in_expired')

    const late = await answerOf(browser, 'corp')
    const kept = browser.cookie(bench.url, 'omium_provider') ?? ''
    expect((await browser.visit(late)).status).toBe(200)
    browser.plant(bench.url, 'omium_provider', kept)
    expect(codeOf(await browser.visit(late)), 'replayed code').toBe('sign_in_refused')
  })
  it('that refuses is quoted by its code only', async () => {
    const browser = new Browser()
    const { searchParams } = await answerOf(browser, 'corp')
    const refusal = new URL(at('/auth/providers/corp/callback'))
    refusal.search = new URLSearchParams({
      error: 'access_denied',
      error_description: '<script>alert(1)</script>',
      state: searchParams.get('state') ?? '',
      iss: bench.issuer.url,
    }).toString()
    const page = await browser.visit(refusal)
    expect(page.text).toContain('access_denied')
    expect(page.text).not.toContain('script>alert')
  })
  it('that is not set up is not there', async () => {
    expect(codeOf(await viaProvider(new Browser(), 'nobody'))).toBe('not_found')
  })
})

describe('GitHub', () => {
  it('signs in with the primary address, if it is verified', async () => {
    bench.github.user = { id: 42, login: 'kim', name: 'Kim' }
    bench.github.emails = [
      { email: 'other@example.com', primary: false, verified: true },
      { email: 'kim@example.com', primary: true, verified: false },
    ]
    expect(codeOf(await viaProvider(new Browser(), 'github'))).toBe('address_unverified')
    bench.github.emails = [{ email: 'kim@example.com', primary: true, verified: true }]
    const browser = new Browser()
    expect((await viaProvider(browser, 'github')).status).toBe(200)
    expect(await whoami(browser)).toMatchObject({ email: 'kim@example.com', name: 'Kim' })
    // who is known needs no address any more
    bench.github.emails = []
    expect((await viaProvider(new Browser(), 'github')).status).toBe(200)
  })
  it('takes a code once, and only with its verifier', async () => {
    const [browser, victim] = [new Browser(), new Browser()]
    const [answer, own] = [await answerOf(browser, 'github'), await answerOf(victim, 'github')]
    own.searchParams.set('code', answer.searchParams.get('code') ?? '')
    expect(codeOf(await victim.visit(own))).toBe('sign_in_refused')
  })
  it('cannot give a fresh proof, and says so', async () => {
    expect(codeOf(await viaProvider(new Browser(), 'github', '?fresh=true'))).toBe('reauthentication_required')
  })
})

describe('landing after a sign-in', () => {
  it.each(['https://evil.example', '//evil.example', '/\\evil.example', '/v1/executions'])(
    'is never at %s',
    async (path) => {
      const query = `?return_to=${encodeURIComponent(path)}`
      for (const page of [`/auth/sign-in${query}`, `/auth/providers/corp/start${query}`])
        expect(codeOf(await new Browser().visit(at(page)))).toBe('invalid_request')
      expect(codeOf(await askForLink(new Browser(), 'open@example.com', { return_to: path }))).toBe('invalid_request')
    },
  )
})

describe('a session', () => {
  const refresh = (browser: Browser) =>
    browser.visit(at('/auth/refresh'), { json: undefined, method: 'POST', headers: json })

  it('is carried by cookies that scripts and other sites do not get', async () => {
    const browser = new Browser()
    await askForLink(browser, 'lea@example.com')
    const { headers } = await browser.visit(await bench.linkTo('lea@example.com'), { follow: false })
    const [access, refreshing] = headers.getSetCookie()
    expect(access).toMatch(/^omium_access=.*HttpOnly.*SameSite=Lax/)
    expect(refreshing).toMatch(/^omium_refresh=.*HttpOnly.*SameSite=Strict/)
    expect(headers.get('cache-control')).toBe('no-store')
  })
  it('begins with an id of its own, whatever the browser brings', async () => {
    const attacker = new Browser()
    const planted = await signInByMail(attacker, 'mallory2@example.com')
    const victim = new Browser()
    for (const name of ['omium_access', 'omium_refresh'])
      victim.plant(bench.url, name, attacker.cookie(bench.url, name) ?? '')
    const me = await signInByMail(victim, 'max@example.com')
    expect(me.email).toBe('max@example.com')
    expect(me.sessionId).not.toBe(planted.sessionId)
    expect((await whoami(attacker)).email).toBe('mallory2@example.com')
  })
  it('goes on for who comes back to a page, until it is ended from another one', async () => {
    const [browser, other] = [new Browser(), new Browser()]
    const me = await signInByMail(browser, 'mia@example.com')
    await signInByMail(other, 'mia@example.com')
    const before = browser.cookie(bench.url, 'omium_refresh')
    browser.cookies.get(new URL(bench.url).host)?.delete('omium_access')
    const page = await browser.visit(at('/auth/sessions'))
    expect([page.url.pathname, page.status]).toEqual(['/auth/sessions', 200])
    expect(page.text).toContain('Where you are signed in')
    expect(browser.cookie(bench.url, 'omium_refresh')).not.toBe(before)
    expect((await other.visit(at(`/auth/sessions/${me.sessionId}/end`), { form: {} })).status).toBe(200)
    await eventually(
      async () => {
        const late = await browser.visit(at('/auth/sessions'))
        expect([late.url.pathname, late.url.searchParams.get('return_to')]).toEqual(['/auth/sign-in', '/auth/sessions'])
      },
      { timeoutMs: 20_000, intervalMs: 200 },
    )
    expect(browser.cookie(bench.url, 'omium_refresh')).toBeUndefined()
  })
  it('is refreshed token by token; one that is used again ends it for both who hold it', async () => {
    const browser = new Browser()
    await signInByMail(browser, 'nat@example.com')
    const stolen = browser.cookie(bench.url, 'omium_refresh') ?? ''
    expect((await refresh(browser)).status).toBe(200)
    // a lost answer: the token before the current one gets the current one again
    const current = browser.cookie(bench.url, 'omium_refresh')
    browser.plant(bench.url, 'omium_refresh', stolen)
    expect((await refresh(browser)).status).toBe(200)
    expect(browser.cookie(bench.url, 'omium_refresh')).toBe(current)
    expect((await refresh(browser)).status).toBe(200)
    const thief = new Browser()
    thief.plant(bench.url, 'omium_refresh', stolen)
    expect(JSON.parse((await refresh(thief)).text).code).toBe('refresh_reused')
    expect(JSON.parse((await refresh(browser)).text).code).toBe('session_ended')
    expect(browser.cookie(bench.url, 'omium_refresh')).toBeUndefined()
  })
  it('is refreshed twice at the same moment, with one answer for both', async () => {
    const browser = new Browser()
    await signInByMail(browser, 'twice@example.com')
    const [one, two] = [new Browser(), new Browser()]
    for (const each of [one, two])
      each.plant(bench.url, 'omium_refresh', browser.cookie(bench.url, 'omium_refresh') ?? '')
    const pages = await Promise.all([refresh(one), refresh(two)])
    expect(pages.map(({ status }) => status)).toEqual([200, 200])
    expect(one.cookie(bench.url, 'omium_refresh')).toBe(two.cookie(bench.url, 'omium_refresh'))
    expect((await refresh(two)).status).toBe(200)
  })
  it('changes for nobody whom another site sends', async () => {
    const browser = new Browser()
    await signInByMail(browser, 'oli@example.com')
    const forged = [
      { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
      { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:1' },
      { 'sec-fetch-site': 'none' },
    ]
    for (const headers of forged)
      for (const path of ['/auth/refresh', '/auth/sign-out', '/auth/sign-out-everywhere', '/auth/magic-links'])
        expect(codeOf(await browser.visit(at(path), { form: { email: 'oli@example.com' }, headers }))).toBe(
          'origin_refused',
        )
    expect((await whoami(browser)).email).toBe('oli@example.com')
  })
  it('ends here, one by one and everywhere, within seconds in every gateway', async () => {
    const browsers = [new Browser(), new Browser(), new Browser()] as const
    const here = await signInByMail(browsers[0], 'pia@example.com')
    const there = await signInByMail(browsers[1], 'pia@example.com')
    await signInByMail(browsers[2], 'pia@example.com')
    const other = new Browser()
    await signInByMail(other, 'quinn@example.com')
    const end = (browser: Browser, id: string) =>
      browser.visit(at(`/auth/sessions/${id}`), { method: 'DELETE', headers: json })
    expect((await end(other, there.sessionId)).status).toBe(404)
    const token = browsers[1].cookie(bench.url, 'omium_access')
    const inOtherGateway = () => bench.gateways[1].callers.callerOf({ authorization: `Bearer ${token}` }, 'GET')
    expect(await inOtherGateway()).toMatchObject({ sessionId: there.sessionId })
    expect((await end(browsers[0], there.sessionId)).status).toBe(204)
    await eventually(async () => expect(await inOtherGateway()).toBeUndefined(), { timeoutMs: 15_000 })
    const list = JSON.parse((await browsers[0].visit(at('/auth/sessions'), { headers: json })).text)
    expect(list.items).toHaveLength(2)
    expect(list.items.find((one: { current: boolean }) => one.current).sessionId).toBe(here.sessionId)
    await browsers[0].visit(at('/auth/sign-out-everywhere'), { method: 'POST' })
    expect(JSON.parse((await refresh(browsers[2])).text).code).toBe('session_ended')
    expect((await whoami(other)).email).toBe('quinn@example.com')
  })
  it('acts in tenants of its user only', async () => {
    const [browser, other] = [new Browser(), new Browser()]
    const me = await signInByMail(browser, 'ron@example.com')
    const { tenant } = await signInByMail(other, 'sue@example.com')
    const to = (name: string) => browser.visit(at('/auth/switch-tenant'), { json: { tenant: name } })
    expect(JSON.parse((await to(tenant)).text).code).toBe('not_found')
    expect((await to(me.tenant)).status).toBe(200)
    expect((await whoami(browser)).tenant).toBe(me.tenant)
  })
  it('of a program is refreshed with the token in the body, without cookies', async () => {
    const browser = new Browser()
    await signInByMail(browser, 'tom@example.com')
    const refreshToken = browser.cookie(bench.url, 'omium_refresh')
    const post = (body: unknown) =>
      fetch(at('/auth/refresh'), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const tokens = (await (await post({ refreshToken })).json()) as { accessToken: string }
    expect(tokens).toMatchObject({ tokenType: 'Bearer', expiresIn: 300 })
    const me = await fetch(at('/auth/session'), { headers: { authorization: `Bearer ${tokens.accessToken}` } })
    expect(await me.json()).toMatchObject({ email: 'tom@example.com' })
    expect((await post({ refreshToken: 'usr_a.ses_a.0.forged' })).status).toBe(401)
  })
  it('is known by keys that all gateways share, and publishes them', async () => {
    const { keys } = (await (await fetch(at('/.well-known/jwks.json'))).json()) as { keys: object[] }
    expect(keys).toMatchObject([{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' }])
    expect(keys[0]).not.toHaveProperty('d')
  })
})
