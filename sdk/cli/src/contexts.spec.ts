import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Asked, type Invocation, problem, reply, scriptedGateway } from './testing.ts'

const me = { tenant: 'ten_a', actor: 'user:usr_a', role: 'owner', permissions: ['executions:read'] }
const secrets = ['om_test_secretkey', 'access-1', 'access-2', 'refresh-1', 'refresh-2', 'device-secret']

describe('signing in', () => {
  let folder: string
  let url: string
  const { answers, asked, lines, run, ...gateway } = scriptedGateway()

  const omium = (argv: string[], { env, ...more }: Invocation = {}) =>
    run(argv, { cwd: folder, ...more, env: { XDG_CONFIG_HOME: folder, ...env } })
  const file = () => join(folder, 'omium/contexts.json')
  const kept = () => JSON.parse(readFileSync(file(), 'utf8'))

  beforeEach(() => {
    url = gateway.url()
    answers['GET /v1/me'] = me
    folder = mkdtempSync(join(tmpdir(), 'omium-contexts-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const withDevice = (polled: unknown[]) => {
    answers['POST /auth/device'] = {
      device_code: 'device-secret',
      user_code: 'BCDF-GHJK',
      verification_uri: `${url}/auth/device`,
      expires_in: 60,
      interval: 0.02,
    }
    answers['POST /auth/token'] = () => polled.shift() ?? reply(500, {})
  }
  const tokens = (n: number, expires_in = 300) => ({
    access_token: `access-${n}`,
    refresh_token: `refresh-${n}`,
    token_type: 'Bearer',
    expires_in,
  })
  const refusal = (error: string) => reply(400, { error, error_description: `it is ${error}` })
  /** What people and logs see has no secret in it. */
  const expectNoSecrets = () => {
    for (const secret of secrets) expect([...lines.out, ...lines.err].join('\n')).not.toContain(secret)
  }

  it('shows a code, waits for a person, and keeps the session where only its owner reads it', async () => {
    withDevice([refusal('authorization_pending'), tokens(1)])
    expect(await omium(['login', url, '--name', 'work'])).toBe(0)
    expect(lines.err).toEqual([`Open ${url}/auth/device and type the code BCDF-GHJK`])
    expect(lines.out).toEqual([`user:usr_a is signed in to ${url}, in ten_a (context work)`])
    expectNoSecrets()
    expect(statSync(file()).mode & 0o777).toBe(0o600)
    expect(kept()).toMatchObject({ current: 'work', contexts: { work: { url, tenant: 'ten_a' } } })
    expect(readdirSync(join(folder, 'omium'))).toEqual(['contexts.json'])
    expect(await omium(['whoami', '--json'])).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toMatchObject({ actor: 'user:usr_a', context: 'work', url })
    expect(asked.at(-1)?.authorization).toBe('Bearer access-1')
    expectNoSecrets()
  })

  it.each([
    ['access_denied', 4],
    ['expired_token', 4],
  ])('ends when the platform says %s', async (error, code) => {
    withDevice([refusal(error)])
    expect(await omium(['login', url])).toBe(code)
    expect(lines.err.at(-1)).toContain(`it is ${error}`)
  })

  it('takes a key from standard input, never from the command line, and not one that opens nothing', async () => {
    expect(await omium(['login', url, '--key', '--name', 'k'], { stdin: 'om_test_secretkey\n' })).toBe(0)
    expectNoSecrets()
    expect(await omium(['context', 'ls', '--json'])).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual({ name: 'k', current: true, url, tenant: 'ten_a', opens: 'key' })
    answers['GET /v1/me'] = problem(401, 'unauthenticated')
    expect(await omium(['login', url, '--key', '--name', 'bad'], { stdin: 'om_test_other' })).toBe(4)
    expect(Object.keys(kept().contexts)).toEqual(['k'])
    expect(await omium(['login', url, '--key'])).toBe(2)
    expect(await omium(['login', 'http://omium.example', '--key'], { stdin: 'x' })).toBe(2)
    expect(lines.err[0]).toMatch(/not encrypted/)
  })

  it('refreshes a token that ends soon, once for all commands that run at the same time', async () => {
    withDevice([tokens(1, 1)])
    expect(await omium(['login', url, '--name', 'work'])).toBe(0)
    answers['POST /auth/refresh'] = ({ body }: Asked) => {
      expect(body).toEqual({ refreshToken: 'refresh-1' })
      return { accessToken: 'access-2', refreshToken: 'refresh-2', expiresIn: 300 }
    }
    asked.length = 0
    const codes = await Promise.all([1, 2, 3, 4].map(() => omium(['whoami', '--json'])))
    expect(codes).toEqual([0, 0, 0, 0])
    expect(asked.filter(({ request }) => request === 'POST /auth/refresh')).toHaveLength(1)
    expect(asked.filter(({ request }) => request === 'GET /v1/me').map((one) => one.authorization)).toEqual(
      Array(4).fill('Bearer access-2'),
    )
    expect(kept().contexts.work.credential).toMatchObject({ refreshToken: 'refresh-2' })
  })

  it('says so when the session has ended', async () => {
    withDevice([tokens(1, 1)])
    await omium(['login', url, '--name', 'work'])
    answers['POST /auth/refresh'] = problem(401, 'refresh_reused')
    expect(await omium(['whoami'])).toBe(4)
    expect(lines.err).toEqual(['session_ended: the session of the context work has ended: omium login --context work'])
  })

  it('works with the context in force, another one that is named, or what the environment says', async () => {
    const other = { ...me, tenant: 'ten_b', actor: 'key:key_b' }
    answers['GET /v1/me'] = ({ authorization }: Asked) => (authorization === 'Bearer om_b' ? other : me)
    await omium(['context', 'add', 'a', url], { stdin: 'om_a' })
    await omium(['context', 'add', 'b', url], { stdin: 'om_b' })
    const tenantOf = async (argv: string[], env: Record<string, string> = {}) => {
      expect(await omium([...argv, 'whoami', '--json'], { env })).toBe(0)
      return JSON.parse(lines.out[0] ?? '').tenant
    }
    expect(await tenantOf([])).toBe('ten_b')
    expect(await tenantOf(['--context', 'a'])).toBe('ten_a')
    expect(await tenantOf([], { OMIUM_CONTEXT: 'a' })).toBe('ten_a')
    expect(await tenantOf([], { OMIUM_API_KEY: 'om_a', OMIUM_URL: url })).toBe('ten_a')
    expect(await omium(['context', 'use', 'a'])).toBe(0)
    expect(await tenantOf([])).toBe('ten_a')
    expect(await omium(['context', 'use', 'nowhere'])).toBe(2)
    expect(await omium(['--context', 'nowhere', 'whoami'])).toBe(2)
    expect(await omium(['context', 'rm', 'a'])).toBe(0)
    expect(await omium(['whoami'])).toBe(2)
    expect(await omium(['context', 'use', 'b'])).toBe(0)
    // what opens one platform is not sent to another
    asked.length = 0
    expect(await omium(['--url', 'https://elsewhere.example', 'whoami'])).toBe(2)
    expect(asked).toEqual([])
  })

  it('signs out: the session ends, and nothing is left of it', async () => {
    withDevice([tokens(1)])
    await omium(['login', url, '--name', 'work'])
    answers['POST /auth/sign-out'] = reply(200, null)
    expect(await omium(['logout', '--json'])).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual({ context: 'work', ended: true })
    expect(asked.at(-1)).toMatchObject({ request: 'POST /auth/sign-out', authorization: 'Bearer access-1' })
    expect(readFileSync(file(), 'utf8')).not.toContain('access-1')
    expect(await omium(['logout'])).toBe(2)
  })

  it('acts in another tenant, and founds one', async () => {
    withDevice([tokens(1)])
    await omium(['login', url, '--name', 'work'])
    const memberships = [
      { tenant: 'ten_a', name: 'Personal', role: 'owner' },
      { tenant: 'ten_c', name: 'Company', role: 'viewer' },
    ]
    answers['GET /auth/session'] = { userId: 'usr_a', tenant: 'ten_a', memberships }
    answers['POST /auth/switch-tenant'] = { accessToken: 'access-2', refreshToken: 'refresh-2', expiresIn: 300 }
    expect(await omium(['tenants', 'ls'])).toBe(0)
    expect(lines.out[0]?.split('\n')).toEqual([
      '   TENANT  NAME      ROLE',
      '*  ten_a   Personal  owner',
      '   ten_c   Company   viewer',
    ])
    expect(await omium(['tenants', 'switch', 'ten_c'])).toBe(0)
    expect(kept().contexts.work).toMatchObject({ tenant: 'ten_c', credential: { accessToken: 'access-2' } })
    answers['POST /v1/tenants'] = { id: 'ten_new', position: '0:1', deduplicated: false }
    expect(await omium(['tenants', 'create', 'New'])).toBe(0)
    expect(kept().contexts.work.tenant).toBe('ten_new')
    expect(await omium(['tenants', 'leave'])).toBe(2)
    expect(await omium(['tenants', 'ls'], { env: { OMIUM_API_KEY: 'om_test_secretkey', OMIUM_URL: url } })).toBe(2)
    expectNoSecrets()
  })

  it('prints a new key once, alone, so that it can be piped', async () => {
    const env = { OMIUM_API_KEY: 'om_a', OMIUM_URL: url }
    const created = {
      id: 'key_1',
      prefix: 'om_test_se',
      key: 'om_test_secretkey',
      position: '0:1',
      deduplicated: false,
    }
    answers['POST /v1/keys'] = created
    const argv = [
      'keys',
      'create',
      'ci',
      '-p',
      'executions:read',
      '-p',
      'executions:write',
      '--agent',
      'a',
      '--from',
      '10.0.0.0/8',
    ]
    expect(await omium(argv, { env })).toBe(0)
    expect(lines.out).toEqual(['om_test_secretkey'])
    expect(asked.at(-1)?.body).toEqual({
      name: 'ci',
      scopes: { permissions: ['executions:read', 'executions:write'], agents: ['a'] },
      ranges: ['10.0.0.0/8'],
    })
    expect(await omium(['keys', 'create', 'ci', '-p', 'everything'], { env })).toBe(2)
    answers['POST /v1/keys/verify'] = { valid: false }
    expect(await omium(['keys', 'verify'], { env, stdin: 'om_test_x' })).toBe(1)
    const view = {
      ...created,
      name: 'ci',
      environment: 'test',
      status: 'live',
      scopes: { permissions: ['executions:read'], agents: ['a'] },
      ranges: [],
      createdBy: 'user:usr_a',
      createdAt: '2026-01-01T00:00:00.000Z',
    }
    answers['GET /v1/keys'] = { items: [view] }
    expect(await omium(['keys', 'ls'], { env })).toBe(0)
    expect(lines.out[0]).toMatch(/key_1 +ci +om_test_se +live +executions:read +a +never/)
  })

  it('invites, changes and removes people', async () => {
    const env = { OMIUM_API_KEY: 'om_a', OMIUM_URL: url }
    const receipt = { id: 'x', position: '0:1', deduplicated: false }
    answers['POST /v1/invitations'] = receipt
    answers['PATCH /v1/members/usr_b'] = receipt
    answers['DELETE /v1/members/usr_b'] = receipt
    const member = { userId: 'usr_b', email: 'b@example.com', role: 'viewer', since: '2026-01-01T00:00:00.000Z' }
    answers['GET /v1/members'] = { items: [member] }
    expect(await omium(['members', 'invite', 'b@example.com', 'viewer'], { env })).toBe(0)
    expect(asked.at(-1)?.body).toEqual({ email: 'b@example.com', role: 'viewer' })
    expect(await omium(['members', 'invite', 'b@example.com', 'king'], { env })).toBe(2)
    expect(await omium(['members', 'role', 'usr_b', 'admin'], { env })).toBe(0)
    expect(await omium(['members', 'ls', '--json'], { env })).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual(member)
    expect(await omium(['members', 'rm', 'usr_b'], { env })).toBe(0)
    expect(lines.out).toEqual(['usr_b is no member any more'])
  })

  it('does not read a damaged file aloud', async () => {
    withDevice([tokens(1)])
    await omium(['login', url])
    writeFileSync(file(), '{"version":1,"contexts":{"x":{"access-1":')
    expect(await omium(['whoami'])).toBe(2)
    expectNoSecrets()
  })
})
