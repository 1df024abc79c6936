import { encodedResponse, type SamlAnswerPlan, type SamlPerson } from '@omium/sign-in/testing'
import { expect } from 'vitest'
import type { Browser, Page } from './browser.ts'
import type { startSsoWorld } from './sso-world.ts'

export type SsoWorld = Awaited<ReturnType<typeof startSsoWorld>>
export type SsoFlows = ReturnType<typeof ssoFlows>
// biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
export type Connection = any

export const json = { accept: 'application/json' }
export const patience = { timeoutMs: 20_000 }
export const codeOf = ({ text }: Page): string => /<code>(\w+)<\/code>/.exec(text)?.[1] ?? text
export const startOf = ({ id }: Connection) => `/auth/sso/${id}/start`

/** A person of `corp.example`, as its identity provider tells of them. */
export const personOf = (name: string, ...groups: string[]): SamlPerson => ({
  nameId: name,
  attributes: { email: `${name}@corp.example`, ...(groups.length > 0 && { groups }) },
})

/** What people, their browsers and those who run connections do, in the world of the specs. */
export const ssoFlows = (worldOf: () => SsoWorld) => {
  const at = (path: string): string => `${worldOf().url}${path}`

  const whoami = async (browser: Browser) =>
    JSON.parse((await browser.visit(at('/auth/session'), { headers: json })).text) as {
      userId: string
      email: string
      tenant: string
      memberships: { tenant: string; role: string }[]
    }
  /** Calls the API as the person whose browser it is. */
  const as = (browser: Browser) => `Bearer ${browser.cookie(worldOf().url, 'omium_access')}`

  /** @param nth of how many mails to this address it is */
  const signInByMail = async (browser: Browser, email: string, nth = 1) => {
    expect((await browser.visit(at('/auth/magic-links'), { form: { email } })).status).toBe(200)
    expect((await browser.visit(await worldOf().linkTo(email, nth))).status).toBe(200)
    return whoami(browser)
  }
  const switchTo = (browser: Browser, tenant: string) => browser.visit(at('/auth/switch-tenant'), { json: { tenant } })

  /** @param by who claims it; an owner of the world's tenant when absent */
  const claimDomain = async (domain: string, by?: Browser): Promise<void> => {
    const { call, dns } = worldOf()
    const authorization = by && as(by)
    const { body } = await call('POST', '/v1/domains', { domain }, authorization)
    expect(body).toMatchObject({ record: { type: 'TXT' } })
    dns.records.set(domain, ['v=spf1 -all', body.record.value])
    expect((await call('POST', `/v1/domains/${domain}/verify`, undefined, authorization)).status).toBe(200)
  }

  const rules = [{ attribute: 'groups', value: 'developers', role: 'developer' }]
  const samlBody = (changes: Record<string, unknown> = {}, settings: Record<string, unknown> = {}) => ({
    name: 'Corp',
    domains: ['corp.example'],
    settings: {
      kind: 'saml',
      entityId: worldOf().idp.entityId,
      ssoUrl: 'https://idp.corp.example/sso',
      certificates: [worldOf().idp.keys.certificate],
      ...settings,
    },
    rules,
    defaultRole: 'viewer',
    ...changes,
  })
  const connect = async (body: object, active = true, by?: Browser): Promise<Connection> => {
    const { call } = worldOf()
    const authorization = by && as(by)
    const { status, body: created } = await call('POST', '/v1/sso/connections', body, authorization)
    expect(status).toBe(201)
    const path = `/v1/sso/connections/${created.id}`
    if (active) expect((await call('POST', `${path}/activate`, undefined, authorization)).status).toBe(200)
    return (await call('GET', path, undefined, authorization)).body
  }

  /** To the identity provider: the request that the browser brings there. */
  const request = async (browser: Browser, { settings }: Connection, path: string) => {
    const { headers } = await browser.visit(at(path), { follow: false })
    return worldOf().idp.read(new URL(headers.get('location') ?? ''), settings.serviceProvider.certificate)
  }
  /** Back again, as browsers do it: another site posts, our page posts once more. */
  const post = async (
    browser: Browser,
    { id }: Connection,
    response: string,
    headers = {},
    relayState?: string,
  ): Promise<Page> => {
    const acs = at(`/auth/saml/${id}/acs`)
    const form = { SAMLResponse: response, ...(relayState !== undefined && { RelayState: relayState }) }
    const bounce = await browser.visit(acs, { form, crossSite: true })
    expect(bounce.text).toContain(response)
    expect(bounce.headers.get('content-security-policy')).toContain("form-action 'self'")
    return browser.visit(acs, { form: { ...form, bounced: 'true' }, headers })
  }
  const viaSaml = async (
    browser: Browser,
    connection: Connection,
    person: SamlPerson,
    changes: Partial<SamlAnswerPlan> = {},
  ): Promise<Page> => {
    const xml = await worldOf().idp.answer(await request(browser, connection, startOf(connection)), person, changes)
    return post(browser, connection, encodedResponse(xml))
  }
  const signInBySaml = async (browser: Browser, connection: Connection, person: SamlPerson) => {
    const page = await viaSaml(browser, connection, person)
    expect([page.status, codeOf(page)]).toEqual([200, expect.stringContaining('Signed in')])
    return whoami(browser)
  }
  return {
    at,
    whoami,
    as,
    signInByMail,
    switchTo,
    claimDomain,
    samlBody,
    connect,
    request,
    post,
    viaSaml,
    signInBySaml,
  }
}
