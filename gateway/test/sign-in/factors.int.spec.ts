import { generateSync } from 'otplib'
import type { Browser as Chromium } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startBench } from './bench.ts'
import { Browser, type Page } from './browser.ts'
import { type Person, personIn, securityKeyDevice, startChromium } from './passkey-browser.ts'

/** Second factors with real cookies, a real browser and its virtual authenticators. */
let bench: Awaited<ReturnType<typeof startBench>>
let chromium: Chromium

beforeAll(async () => {
  ;[bench, chromium] = await Promise.all([startBench({ host: 'localhost' }), startChromium()])
}, 180_000)
afterAll(async () => {
  await chromium?.close()
  await bench?.close()
})
afterEach(() => {
  bench.clock.aheadMs = 0
})

const at = (path: string): string => `${bench.url}${path}`
const json = { accept: 'application/json' }
const linkFor = async (browser: Browser, email: string, more: Record<string, string> = {}): Promise<string> => {
  const before = bench.mails.filter(({ to }) => to === email).length
  expect((await browser.visit(at('/auth/magic-links'), { form: { email, ...more } })).status).toBe(200)
  return bench.linkTo(email, before + 1)
}
const firstFactor = async (browser: Browser, email: string): Promise<Page> =>
  browser.visit(await linkFor(browser, email))
// biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
const bodyOf = ({ text }: Page): any => JSON.parse(text)
const post = async (browser: Browser, path: string, body: unknown = {}) => {
  const page = await browser.visit(at(path), { json: body })
  return { status: page.status, body: page.text ? bodyOf(page) : undefined }
}
const session = async (browser: Browser) => bodyOf(await browser.visit(at('/auth/session'), { headers: json }))

/** What an app shows, so many steps after `since`. */
const codeOf = (secret: string, steps = 0, since = Date.now()): string =>
  generateSync({ strategy: 'totp', secret, epoch: Math.floor(since / 1000) + steps * 30 })

/** Somebody who signed in and added an authenticator app with the code `spent`; `next` is good for a minute. */
const withApp = async (email: string) => {
  const browser = new Browser()
  await firstFactor(browser, email)
  const { secret } = (await post(browser, '/auth/factors/totp/begin')).body
  const since = Date.now()
  const [spent, next] = [codeOf(secret, 0, since), codeOf(secret, 1, since)]
  const added = await post(browser, '/auth/factors/totp', { code: spent, label: 'Phone' })
  expect(added.status).toBe(201)
  return { browser, spent, next, id: added.body.id as string, codes: added.body.recoveryCodes as string[] }
}

describe('an authenticator app', () => {
  it('is a factor after its first code, and brings recovery codes once', async () => {
    const browser = new Browser()
    await firstFactor(browser, 'ann@example.com')
    expect((await browser.visit(at('/auth/factors'))).text).toContain('You have none yet')
    const begun = await post(browser, '/auth/factors/totp/begin')
    expect(begun.body.uri).toMatch(/^otpauth:\/\/totp\/Omium:ann%40example\.com\?.*secret=/)
    expect(await post(browser, '/auth/factors/totp', { code: '000000', label: 'Phone' })).toMatchObject({
      status: 401,
      body: { code: 'factor_refused' },
    })
    expect(bodyOf(await browser.visit(at('/auth/factors'), { headers: json })).items).toEqual([])
    const added = await post(browser, '/auth/factors/totp', { code: codeOf(begun.body.secret), label: 'Phone' })
    expect(added).toMatchObject({ status: 201, body: { id: expect.stringMatching(/^fac_/) } })
    expect(new Set(added.body.recoveryCodes).size).toBe(10)
    expect(await session(browser)).toMatchObject({ amr: ['email', 'otp', 'mfa'], mfaAt: expect.any(Number) })
    const list = bodyOf(await browser.visit(at('/auth/factors'), { headers: json }))
    expect(list).toMatchObject({ items: [{ kind: 'totp', label: 'Phone' }], recoveryCodesLeft: 10 })
    // nothing that could be read is stored
    const { rows } = await bench.pool.query('SELECT f::text AS text FROM identity.factors f')
    for (const { text } of rows) for (const told of ['Phone', begun.body.secret]) expect(text).not.toContain(told)
  })
  it('is asked for before there is a session, also by pages without script', async () => {
    const { next } = await withApp('ben@example.com')
    const browser = new Browser()
    const page = await browser.visit(await linkFor(browser, 'ben@example.com', { return_to: '/app/runs' }))
    expect(page.url.pathname).toBe('/auth/mfa')
    expect(page.text).toContain('one-time-code')
    expect(page.text).not.toContain('<script')
    for (const name of ['omium_access', 'omium_refresh']) expect(browser.cookie(bench.url, name)).toBeUndefined()
    for (const path of ['/auth/session', '/auth/factors', '/auth/sessions'])
      expect((await browser.visit(at(path), { headers: json })).status).toBe(401)
    expect((await post(browser, '/auth/switch-tenant', { tenant: 'ten_x' })).status).toBe(401)
    expect(bodyOf(await browser.visit(at('/auth/mfa'), { headers: json }))).toEqual({
      pending: true,
      accepts: ['totp', 'recovery_code'],
    })
    const landed = await browser.visit(at('/auth/mfa/code'), { form: { code: ` ${next} ` }, follow: false })
    expect([landed.status, landed.headers.get('location')]).toEqual([303, '/app/runs'])
    expect(await session(browser)).toMatchObject({ email: 'ben@example.com', amr: ['email', 'otp', 'mfa'] })
    expect(browser.cookie(bench.url, 'omium_pending')).toBeUndefined()
  })
  it('shows codes that count once, wherever they are shown again', async () => {
    const { browser, spent: first, next: code } = await withApp('cat@example.com')
    const spent = { status: 401, body: { code: 'factor_proof_used' } }
    expect(await post(browser, '/auth/mfa/code', { code: first })).toMatchObject(spent)
    const [one, two] = [new Browser(), new Browser()] as const
    await firstFactor(one, 'cat@example.com')
    await firstFactor(two, 'cat@example.com')
    const answers = await Promise.all([one, two].map((each) => post(each, '/auth/mfa/code', { code })))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401])
    const late = new Browser()
    await firstFactor(late, 'cat@example.com')
    expect(await post(late, '/auth/mfa/code', { code })).toMatchObject(spent)
  })
  it('is guessed a few times only, in however many browsers', async () => {
    const { codes } = await withApp('dan@example.com')
    const thieves = [new Browser(), new Browser()]
    for (const thief of thieves) await firstFactor(thief, 'dan@example.com')
    const guesses: number[] = []
    for (let guess = 0; guess < 11; guess++)
      guesses.push((await post(thieves[guess % 2] as Browser, '/auth/mfa/code', { code: `${100_000 + guess}` })).status)
    // the code that added the app was the first of ten tries
    expect(guesses).toEqual([...Array<number>(9).fill(401), 429, 429])
    expect(await post(thieves[0] as Browser, '/auth/mfa/code', { code: codes[0] })).toMatchObject({ status: 429 })
  })
  it('opens nothing with a pending sign-in that is forged, for something else, too old, or sent by another site', async () => {
    const { next: code } = await withApp('eli@example.com')
    const browser = new Browser()
    await firstFactor(browser, 'eli@example.com')
    const pending = browser.cookie(bench.url, 'omium_pending') ?? ''
    const foreign = await browser.visit(at('/auth/mfa/code'), {
      json: { code },
      headers: { 'sec-fetch-site': 'cross-site' },
    })
    expect(bodyOf(foreign)).toMatchObject({ code: 'origin_refused' })
    const begun = await post(browser, '/auth/passkeys/begin')
    for (const forged of [`${pending.slice(0, -6)}AAAAAA`, begun.body.ceremony, 'x']) {
      browser.plant(bench.url, 'omium_pending', forged)
      expect(await post(browser, '/auth/mfa/code', { code })).toMatchObject({
        body: { code: 'sign_in_expired' },
      })
    }
    browser.plant(bench.url, 'omium_pending', pending)
    bench.clock.aheadMs = 11 * 60_000
    expect((await post(browser, '/auth/mfa/code', { code })).body.code).toBe('sign_in_expired')
  })
})

describe('a recovery code', () => {
  it('gets in once, however it is typed; new ones take the place of all', async () => {
    const { browser, codes } = await withApp('fay@example.com')
    const pending = async () => {
      const visitor = new Browser()
      await firstFactor(visitor, 'fay@example.com')
      return (code: string | undefined) => post(visitor, '/auth/mfa/code', { code })
    }
    const [one, two] = [await pending(), await pending()]
    expect((await one((codes[0] as string).toLowerCase().replace('-', ' '))).status).toBe(200)
    expect(await two(codes[0])).toMatchObject({ status: 401, body: { code: 'factor_proof_used' } })
    expect(await two('00000-00000')).toMatchObject({ status: 401, body: { code: 'factor_refused' } })
    expect(bodyOf(await browser.visit(at('/auth/factors'), { headers: json })).recoveryCodesLeft).toBe(9)
    const renewed = (await post(browser, '/auth/recovery-codes')).body.recoveryCodes as string[]
    expect(await two(codes[1])).toMatchObject({ status: 401, body: { code: 'factor_refused' } })
    expect((await two(renewed[0])).status).toBe(200)
    const { rows } = await bench.pool.query('SELECT code FROM identity.recovery_codes')
    for (const { code } of rows) expect(code).toMatch(/^[0-9a-f]{64}$/)
  })
})

describe('step-up', () => {
  const refreshed = async (browser: Browser) => browser.visit(at('/auth/refresh'), { method: 'POST', headers: json })

  it('is needed to change factors when the last proof is old; a second factor gives it, a sign-in does not', async () => {
    const { browser, next, id } = await withApp('gil@example.com')
    bench.clock.aheadMs = 11 * 60_000
    await refreshed(browser)
    const refused = await browser.visit(at(`/auth/factors/${id}`), { method: 'DELETE', headers: json })
    expect(bodyOf(refused)).toMatchObject({ code: 'step_up_required', accepts: ['totp', 'recovery_code'] })
    expect(refused.headers.get('www-authenticate')).toContain('insufficient_user_authentication')
    expect((await browser.visit(at('/auth/recovery-codes'), { method: 'POST' })).url.href).toBe(
      at('/auth/mfa?return_to=/auth/factors'),
    )
    // nobody signs in with the mail alone to get around it
    expect((await firstFactor(new Browser(), 'gil@example.com')).url.pathname).toBe('/auth/mfa')
    bench.clock.aheadMs = 30_000
    await refreshed(browser)
    expect((await post(browser, '/auth/mfa/code', { code: next })).status).toBe(200)
    expect((await browser.visit(at(`/auth/factors/${id}`), { method: 'DELETE', headers: json })).status).toBe(204)
    expect((await firstFactor(new Browser(), 'gil@example.com')).url.pathname).toBe('/auth/session')
  })
  it('of who has no factor is a sign-in', async () => {
    const browser = new Browser()
    await firstFactor(browser, 'hana@example.com')
    bench.clock.aheadMs = 11 * 60_000
    await refreshed(browser)
    expect((await post(browser, '/auth/factors/totp/begin')).body).toMatchObject({
      code: 'step_up_required',
      accepts: ['sign_in'],
    })
  })
  it('of a program goes by token, and gives it new ones', async () => {
    const { browser, next } = await withApp('ivo@example.com')
    const authorization = `Bearer ${browser.cookie(bench.url, 'omium_access')}`
    const program = (path: string, body: object) =>
      fetch(at(path), {
        method: 'POST',
        headers: { authorization, accept: 'application/json', 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const stepped = (await (await program('/auth/mfa/code', { code: next })).json()) as object
    expect(stepped).toMatchObject({ tokenType: 'Bearer', accessToken: expect.any(String) })
    const begun = (await (await program('/auth/factors/totp/begin', {})).json()) as { secret: string; ceremony: string }
    const { secret: other, ceremony } = begun
    const added = await program('/auth/factors/totp', { code: codeOf(other), label: 'CLI', ceremony })
    expect([added.status, await added.json()]).toMatchObject([201, { accessToken: expect.any(String) }])
    // what one person began is no use to another
    const { browser: thief } = await withApp('jan@example.com')
    const stolen = await fetch(at('/auth/factors/totp'), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${thief.cookie(bench.url, 'omium_access')}`,
        accept: 'application/json',
        'content-type': 'application/json',
      },
      body: JSON.stringify({ code: codeOf(other, 1), label: 'CLI', ceremony }),
    })
    expect(await stolen.json()).toMatchObject({ code: 'sign_in_expired' })
  })
})

describe('a program that asks to be let in', () => {
  it('gets the second factor of the session that lets it in, and none of one that has not seen any', async () => {
    const { browser } = await withApp('lou@example.com')
    const asked = await post(browser, '/auth/device', { client_id: 'omium-cli' })
    const { user_code, device_code } = asked.body
    const form = { user_code, decision: 'approved' }
    expect((await browser.visit(at('/auth/device/decide'), { form })).status).toBe(200)
    const grant_type = 'urn:ietf:params:oauth:grant-type:device_code'
    const tokens = await post(new Browser(), '/auth/token', { grant_type, client_id: 'omium-cli', device_code })
    const headers = { authorization: `Bearer ${tokens.body.access_token}`, ...json }
    expect(bodyOf(await new Browser().visit(at('/auth/session'), { headers }))).toMatchObject({
      email: 'lou@example.com',
      mfaAt: expect.any(Number),
    })
    // a session from before the factor
    const [before, phone] = [new Browser(), new Browser()]
    await firstFactor(before, 'mo@example.com')
    await firstFactor(phone, 'mo@example.com')
    const { secret } = (await post(phone, '/auth/factors/totp/begin')).body
    await post(phone, '/auth/factors/totp', { code: codeOf(secret), label: 'Phone' })
    expect((await before.visit(at('/auth/device'))).url.pathname).toBe('/auth/mfa')
    expect((await browser.visit(at('/auth/device'))).url.pathname).toBe('/auth/device')
  })
})

describe('removing', () => {
  it('leaves one factor where a tenant demands it, and takes none of others', async () => {
    const { browser, id } = await withApp('kim@example.com')
    const { browser: other } = await withApp('leo@example.com')
    const remove = (who: Browser) => who.visit(at(`/auth/factors/${id}`), { method: 'DELETE', headers: json })
    const { tenant, userId } = await session(browser)
    expect(bodyOf(await remove(other))).toMatchObject({ code: 'factor_unknown' })
    const aggregate = `tenant:${tenant}/${tenant}`
    const demand = (required: boolean) =>
      bench.identity.execute(
        { tenant, actor: `user:${userId}`, correlationId: 'spec' },
        aggregate,
        `cmd_${userId}_${required}`,
        { type: 'RequireMfa', data: { required } },
      )
    await demand(true)
    await bench.identity.untilCurrent(aggregate)
    expect(bodyOf(await remove(browser))).toMatchObject({ code: 'last_factor' })
    await demand(false)
    await bench.identity.untilCurrent(aggregate)
    expect((await remove(browser)).status).toBe(204)
  })
})

describe('with a browser and its authenticators', () => {
  const signInBy = async ({ page }: Person, email: string): Promise<void> => {
    const before = bench.mails.filter(({ to }) => to === email).length
    await page.goto(at('/auth/sign-in?return_to=/auth/factors'))
    await page.getByLabel('E-mail address').fill(email)
    await page.getByRole('button', { name: 'Continue with e-mail' }).click()
    // the mail may come before the answer that says who asked for it
    await page.getByText('Check your mail').first().waitFor()
    await page.goto(await bench.linkTo(email, before + 1))
  }
  const addKey = async ({ page }: Person, kind: 'passkey' | 'security_key'): Promise<void> => {
    await page.locator(`#${kind}`).fill(`My ${kind}`)
    await page.locator(`form:has(#${kind}) button`).click()
  }
  const useKey = ({ page }: Person) => page.getByRole('button', { name: 'Use a security key or passkey' }).click()
  // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
  const ask = ({ page }: Person, path: string, body?: unknown): Promise<{ status: number; body: any }> =>
    page.evaluate(
      async ([url, text]) => {
        const headers = { accept: 'application/json', 'content-type': 'application/json' }
        const response = await fetch(
          url as string,
          text === null ? { headers } : { method: 'POST', headers, body: text as string },
        )
        return { status: response.status, body: await response.json() }
      },
      [path, body === undefined ? null : JSON.stringify(body)] as const,
    )
  /** What the authenticator answers to a challenge, on whichever page the person is. */
  const answerTo = ({ page }: Person, options: unknown): Promise<{ id: string; response: Record<string, string> }> =>
    page.evaluate(`(async () => {
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(${JSON.stringify(options)})
      return (await navigator.credentials.get({ publicKey })).toJSON()
    })()`)

  it('a passkey is added, and then a sign-in of its own', async () => {
    const person = await personIn(chromium)
    await signInBy(person, 'mia@example.com')
    await addKey(person, 'passkey')
    await person.page.getByText('Recovery codes').first().waitFor()
    expect(await person.page.locator('li code').count()).toBe(10)
    const before = await ask(person, '/auth/session')
    expect(before.body.amr).toEqual(expect.arrayContaining(['mfa']))
    await person.context.clearCookies()
    await person.page.goto(at('/auth/sign-in'))
    await person.page.getByRole('button', { name: 'Sign in with a passkey' }).click()
    await person.page.getByText('You are mia@example.com').waitFor()
    const after = await ask(person, '/auth/session')
    expect(after.body).toMatchObject({ userId: before.body.userId, mfaAt: expect.any(Number) })
    expect(after.body.sessionId).not.toBe(before.body.sessionId)
    expect(after.body.amr).toEqual(expect.arrayContaining(['user', 'mfa']))
    const { items } = (await ask(person, '/auth/sessions')).body
    expect(items[0]).toMatchObject({ method: 'passkey', current: true })
    await person.context.close()
  })

  it('a security key is the second factor after a link, and no sign-in of its own', async () => {
    const person = await personIn(chromium, securityKeyDevice)
    await signInBy(person, 'ned@example.com')
    await addKey(person, 'security_key')
    await person.page.getByText('Recovery codes').first().waitFor()
    await person.context.clearCookies()
    await signInBy(person, 'ned@example.com')
    await useKey(person)
    await person.page.getByText('My security_key (security key)').waitFor()
    expect((await ask(person, '/auth/session')).body.amr).toEqual(['email', 'hwk', 'mfa'])
    await person.context.close()
  })

  it('an answer counts once, for this site, this user and this sign-in; a copied key is refused and told', async () => {
    const person = await personIn(chromium, securityKeyDevice)
    await signInBy(person, 'ora@example.com')
    await addKey(person, 'security_key')
    await person.page.getByText('Recovery codes').first().waitFor()
    const begin = async () => (await ask(person, '/auth/mfa/webauthn/begin', {})).body.options
    const send = (response: unknown) => ask(person, '/auth/mfa/webauthn', { response })
    const ceremony = async () => (await person.context.cookies()).filter(({ name }) => name === 'omium_ceremony')

    // replayed, with the very cookie that it was answered under
    const response = await answerTo(person, await begin())
    const cookies = await ceremony()
    expect((await send(response)).status).toBe(200)
    expect((await send(response)).body.code).toBe('sign_in_expired')
    await person.context.addCookies(cookies)
    expect((await send(response)).body.code).toBe('factor_proof_used')

    // under another challenge, changed, or of another user's key
    await begin()
    expect((await send(response)).body.code).toBe('factor_refused')
    const fresh = await answerTo(person, await begin())
    const signature = `${fresh.response['signature']?.slice(0, -4)}AAAA`
    expect((await send({ ...fresh, response: { ...fresh.response, signature } })).body.code).toBe('factor_refused')
    const other = await personIn(chromium, securityKeyDevice)
    await signInBy(other, 'pat@example.com')
    await addKey(other, 'security_key')
    await other.page.getByText('Recovery codes').first().waitFor()
    const { challenge } = await begin()
    const theirs = (await ask(other, '/auth/mfa/webauthn/begin', {})).body.options
    expect((await send(await answerTo(other, { ...theirs, challenge }))).body.code).toBe('factor_refused')
    await other.context.close()

    // made for a page of another origin, which has the same name
    const elsewhere = await person.context.newPage()
    const origin = bench.issuer.url.replace('127.0.0.1', 'localhost')
    const options = await begin()
    await elsewhere.goto(`${origin}/.well-known/openid-configuration`)
    const cdp = await person.context.newCDPSession(elsewhere)
    await cdp.send('WebAuthn.enable')
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: securityKeyDevice })
    const { credentials } = await person.cdp.send('WebAuthn.getCredentials', {
      authenticatorId: person.authenticatorId,
    })
    const [key] = credentials
    if (!key) throw new Error('the authenticator has no credential')
    await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...key, signCount: 100 } })
    const phished = await answerTo({ ...person, page: elsewhere }, options)
    expect((await send(phished)).body.code).toBe('factor_refused')
    await elsewhere.close()

    // a copy of the key, whose counter knows nothing of what the other has signed
    const { credentialId } = key
    await person.cdp.send('WebAuthn.removeCredential', { authenticatorId: person.authenticatorId, credentialId })
    await person.cdp.send('WebAuthn.addCredential', {
      authenticatorId: person.authenticatorId,
      credential: { ...key, signCount: 0 },
    })
    expect((await send(await answerTo(person, await begin()))).body.code).toBe('authenticator_suspect')
    await person.page.goto(at('/auth/factors'))
    expect(await person.page.getByRole('alert').textContent()).toContain('copied')
    await person.context.close()
  })

  it('a passkey of nobody here, and one of who was not verified, sign nobody in', async () => {
    const person = await personIn(chromium)
    await signInBy(person, 'quin@example.com')
    await addKey(person, 'passkey')
    await person.page.getByText('Recovery codes').first().waitFor()
    await person.context.clearCookies()
    await person.page.goto(at('/auth/sign-in'))
    const begun = (await ask(person, '/auth/passkeys/begin', {})).body
    expect(begun.options.allowCredentials).toEqual([])
    const unverified = await (async () => {
      await person.cdp.send('WebAuthn.setUserVerified', {
        authenticatorId: person.authenticatorId,
        isUserVerified: false,
      })
      return answerTo(person, { ...begun.options, userVerification: 'discouraged' })
    })()
    expect((await ask(person, '/auth/passkeys', { response: unverified })).body.code).toBe('factor_refused')
    await person.cdp.send('WebAuthn.setUserVerified', { authenticatorId: person.authenticatorId, isUserVerified: true })
    const again = (await ask(person, '/auth/passkeys/begin', {})).body
    const good = await answerTo(person, again.options)
    const userHandle = Buffer.from('usr_somebody_else').toString('base64url')
    expect(
      (await ask(person, '/auth/passkeys', { response: { ...good, response: { ...good.response, userHandle } } })).body
        .code,
    ).toBe('factor_refused')
    expect((await ask(person, '/auth/session')).status).toBe(401)
    await person.context.close()
  })
})

it('pages load the one script that they say, and nothing else', async () => {
  const page = await new Browser().visit(at('/auth/sign-in'))
  const policy = page.headers.get('content-security-policy') ?? ''
  expect(policy).toContain("default-src 'none'")
  expect(policy).toMatch(/script-src 'sha256-[^']+'(;|$)/)
  expect(page.text.match(/<script/g)).toHaveLength(1)
})
