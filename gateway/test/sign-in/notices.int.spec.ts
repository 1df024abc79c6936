import { readFileSync } from 'node:fs'
import { eventually } from '@omium/dev/testing'
import { generateSync } from 'otplib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startBench } from './bench.ts'
import { Browser } from './browser.ts'

/** "Was this you?": mail about what changes in who gets in. */
let bench: Awaited<ReturnType<typeof startBench>>
beforeAll(async () => {
  bench = await startBench({ notices: true })
}, 180_000)
afterAll(() => bench?.close())

const at = (path: string): string => `${bench.url}${path}`
const post = async (browser: Browser, path: string, json: unknown = {}) => {
  const { status, text } = await browser.visit(at(path), { json })
  return { status, body: text === '' ? undefined : JSON.parse(text) }
}
const signedIn = async (email: string): Promise<Browser> => {
  const browser = new Browser()
  expect((await browser.visit(at('/auth/magic-links'), { form: { email } })).status).toBe(200)
  expect((await browser.visit(await bench.linkTo(email))).status).toBe(200)
  return browser
}
const addApp = async (browser: Browser, label: string) => {
  const { secret } = (await post(browser, '/auth/factors/totp/begin')).body
  return post(browser, '/auth/factors/totp', { code: generateSync({ strategy: 'totp', secret }), label })
}

/** Mails to an address about something, as they were sent. */
const mailsAbout = (email: string, subject: string): string[] =>
  bench.mails
    .filter(({ to }) => to === email)
    .map(({ file }) => readFileSync(file, 'utf8'))
    .filter((mail) => mail.includes(`Subject: Omium: ${subject}`))
const messageIdOf = (mail: string): string => /^Message-ID: (.+)$/m.exec(mail)?.[1] ?? ''
const mailAbout = (email: string, subject: string): Promise<string> =>
  eventually(() => mailsAbout(email, subject)[0] ?? false, { timeoutMs: 40_000 }) as Promise<string>

it('comes as text and as HTML, and leads to where it can be undone', async () => {
  const browser = await signedIn('ann@example.com')
  await addApp(browser, 'Phone')
  const mail = (await mailAbout('ann@example.com', 'A new authenticator app')).replace(/=\r?\n/g, '')
  expect(mail).toMatch(/^Content-Type: text\/plain/m)
  expect(mail).toMatch(/^Content-Type: text\/html/m)
  expect(mail).toContain('The authenticator app "Phone" was added to your account.')
  expect(mail).toContain(at('/auth/factors'))
  await post(browser, '/auth/recovery-codes')
  await mailAbout('ann@example.com', 'New recovery codes')
  // those that came with the app were told with it
  expect(mailsAbout('ann@example.com', 'New recovery codes')).toHaveLength(1)
})

it('comes once, also when no mail server is there at first and whoever owes it dies', async () => {
  const browser = await signedIn('bob@example.com')
  await bench.mailServer.leave()
  // whoever does it does not wait for the mail
  expect((await addApp(browser, 'Phone')).status).toBe(201)
  await bench.replaceIdentity()
  await bench.mailServer.comeBack()
  const subject = 'A new authenticator app'
  const first = await mailAbout('bob@example.com', subject)
  expect(first).toMatch(/^Message-ID: <[0-9a-f]{32}@localhost>/m)
  // what is told later comes later: the one before is settled by then, and not sent by whoever takes over
  const renew = async (times: number) => {
    await post(browser, '/auth/recovery-codes')
    const came = () => new Set(mailsAbout('bob@example.com', 'New recovery codes').map(messageIdOf)).size === times
    await eventually(came, { timeoutMs: 40_000 })
  }
  await renew(1)
  await bench.replaceIdentity()
  await renew(2)
  expect(mailsAbout('bob@example.com', subject)).toHaveLength(1)
}, 180_000)
