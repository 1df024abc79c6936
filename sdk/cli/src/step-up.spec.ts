import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Asked, type Invocation, problem, reply, scriptedGateway } from './testing.ts'

const me = { tenant: 'ten_a', actor: 'user:usr_a', role: 'owner', permissions: ['keys:write'] }
const create = ['keys', 'create', 'ci', '-p', 'executions:read']
const created = { id: 'key_1', prefix: 'om_test_x', key: 'om_test_secret', position: '0:1', deduplicated: false }

describe('a command that needs a fresh proof', () => {
  let folder: string
  let url: string
  /** access tokens that are fresh enough */
  let fresh: string[]
  let accepts: string[]
  let devices: number
  const { answers, asked, lines, run, ...gateway } = scriptedGateway()
  const omium = (argv: readonly string[], more: Invocation = {}) =>
    run(argv, { cwd: folder, env: { XDG_CONFIG_HOME: folder }, ...more })
  const kept = () => JSON.parse(readFileSync(join(folder, 'omium/contexts.json'), 'utf8')).contexts.work
  const bearer = ({ authorization = '' }: Asked): string => authorization.replace('Bearer ', '')
  const tokensOf = (accessToken: string) => ({ accessToken, refreshToken: `refresh of ${accessToken}`, expiresIn: 300 })

  beforeEach(async () => {
    url = gateway.url()
    folder = mkdtempSync(join(tmpdir(), 'omium-step-up-'))
    fresh = []
    devices = 0
    accepts = ['sign_in']
    answers['GET /v1/me'] = me
    answers['POST /auth/device'] = {
      device_code: 'd',
      user_code: 'BCDF-GHJK',
      verification_uri: `${url}/auth/device`,
      expires_in: 60,
      interval: 0.02,
    }
    answers['POST /auth/token'] = () => {
      const token = `device-${++devices}`
      if (devices > 1) fresh.push(token)
      return { access_token: token, refresh_token: `refresh of ${token}`, expires_in: 300 }
    }
    answers['GET /auth/session'] = (one: Asked) => ({
      userId: 'usr_a',
      sessionId: `ses_${bearer(one)}`,
      tenant: 'ten_a',
    })
    answers['POST /v1/keys'] = (one: Asked) => {
      if (fresh.includes(bearer(one))) return created
      const { body } = problem(401, 'step_up_required', 'prove who you are') as { body: object }
      return reply(401, { ...body, accepts })
    }
    expect(await omium(['login', url, '--name', 'work'])).toBe(0)
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('asks for the code of the app, again when it is wrong, and goes on with the same session', async () => {
    accepts = ['totp', 'recovery_code']
    answers['POST /auth/mfa/code'] = (one: Asked) => {
      expect(bearer(one)).toBe('device-1')
      if ((one.body as { code: string }).code !== '123456') return problem(401, 'factor_refused', 'this code is wrong')
      fresh.push('stepped-up')
      return tokensOf('stepped-up')
    }
    const codes = ['000000', '123456']
    expect(await omium(create, { typed: () => codes.shift() ?? '' })).toBe(0)
    expect(lines.out).toEqual(['om_test_secret'])
    expect(lines.err[0]).toBe('this code is wrong')
    expect(kept().credential).toMatchObject({ accessToken: 'stepped-up', refreshToken: 'refresh of stepped-up' })
    const bodies = asked.filter(({ request }) => request === 'POST /v1/keys').map(({ body }) => body)
    expect(bodies[1]).toEqual(bodies[0])
  })

  it('shows an address and a code to who has none, and goes on when they have let it in anew', async () => {
    answers['DELETE /auth/sessions/ses_device-1'] = reply(200, null)
    expect(await omium(create, { typed: () => '' })).toBe(0)
    expect(lines.out).toEqual(['om_test_secret'])
    expect(lines.err).toContain(`Open ${url}/auth/device?fresh=true and type the code BCDF-GHJK`)
    expect(kept().credential).toMatchObject({ accessToken: 'device-2' })
    expect(asked.map(({ request }) => request)).toContain('DELETE /auth/sessions/ses_device-1')
  })

  it('acts as nobody else, whoever lets it in', async () => {
    answers['GET /auth/session'] = (one: Asked) => ({
      userId: bearer(one) === 'device-1' ? 'usr_a' : 'usr_b',
      sessionId: 'ses',
      tenant: 'ten_a',
    })
    answers['POST /auth/sign-out'] = reply(200, null)
    expect(await omium(create, { typed: () => '' })).toBe(2)
    expect(lines.err.at(-1)).toMatch(/somebody else/)
    expect(kept().credential).toMatchObject({ accessToken: 'device-1' })
    expect(asked.at(-1)).toMatchObject({ request: 'POST /auth/sign-out', authorization: 'Bearer device-2' })
  })

  it('is refused where nobody can be asked, and says what to do', async () => {
    expect(await omium(create)).toBe(4)
    expect(lines.err.at(-1)).toMatch(/^step_up_required: prove who you are; .*omium login/)
    expect(devices).toBe(1)
  })

  it('adds an authenticator app, shows its recovery codes, and goes on with the session that saw it', async () => {
    answers['POST /auth/factors/totp/begin'] = { secret: 'S', uri: 'otpauth://totp/Omium:a?secret=S', ceremony: 'c' }
    answers['POST /auth/factors/totp'] = ({ body }: Asked) => {
      expect(body).toEqual({ code: '123456', label: 'Phone', ceremony: 'c' })
      return reply(201, { id: 'fac_1', recoveryCodes: ['AAAAA-BBBBB'], ...tokensOf('with-factor') })
    }
    expect(await omium(['mfa', 'add', '--name', 'Phone'], { typed: () => '123456' })).toBe(0)
    expect(lines.out).toEqual(['AAAAA-BBBBB'])
    expect(lines.err.join('\n')).toContain('type the secret in: S')
    expect(kept().credential).toMatchObject({ accessToken: 'with-factor' })
  })

  it('shows factors and sessions, and ends them', async () => {
    answers['GET /auth/factors'] = {
      items: [{ id: 'fac_1', kind: 'totp', label: 'Phone', addedAt: 'then', usedAt: null, suspectedAt: null }],
      recoveryCodesLeft: 9,
    }
    expect(await omium(['mfa', 'status'])).toBe(0)
    expect(lines.out.join('\n')).toMatch(/fac_1 +authenticator app +Phone[\s\S]*9 recovery codes/)
    expect(await omium(['mfa', 'rm', 'fac_1'])).toBe(2)
    answers['DELETE /auth/factors/fac_1'] = reply(200, null)
    expect(await omium(['mfa', 'rm', 'fac_1', '--yes', '--json'])).toBe(0)
    const one = { tenant: 'ten_a', method: 'device', startedAt: 's', refreshedAt: null, expiresAt: 'e' }
    answers['GET /auth/sessions'] = {
      items: [
        { ...one, sessionId: 'ses_1', current: true, client: 'cli' },
        { ...one, sessionId: 'ses_2', current: false, client: 'browser' },
      ],
    }
    expect(await omium(['sessions', 'ls'])).toBe(0)
    expect(lines.out.join('\n')).toMatch(/\* +ses_1 +program[\s\S]*ses_2 +browser/)
    expect(await omium(['sessions', 'end'])).toBe(2)
    answers['DELETE /auth/sessions/ses_2'] = reply(200, null)
    expect(await omium(['sessions', 'end', 'ses_2'])).toBe(0)
    expect(lines.out).toEqual(['ses_2 is ended'])
  })
})
