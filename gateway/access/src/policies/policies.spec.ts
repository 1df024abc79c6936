import { readFileSync } from 'node:fs'
import { type KeyEnvironment, OmiumError, permissions, type Role } from '@omium/schemas'
import Fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import type { Caller } from '../caller.ts'
import { installGuard } from '../guard.ts'
import { createServiceTokens } from '../service-tokens.ts'
import type { AccessRequest, Authorizer } from './authorizer.ts'
import { createCedarAuthorizer } from './cedar.ts'
import { openPolicies } from './installed.ts'
import { createPolicies } from './policies.ts'

/** a Wednesday, 10:00 UTC */
const wednesdayMs = Date.UTC(2026, 0, 7, 10)
const minuteMs = 60_000

const cedar = (text: string, onError: (message: string) => void = () => {}) =>
  createCedarAuthorizer(text, 'policies.cedar', onError)

/** A request of a key at the installation's own network; `changes` say what is different. */
const request = ({
  context,
  ...changes
}: Partial<Omit<AccessRequest, 'context'>> & { context?: Partial<AccessRequest['context']> } = {}): AccessRequest => ({
  principal: { kind: 'key', id: 'key_1', tenant: 'ten_a', role: undefined, isService: false },
  action: 'executions:write',
  resource: { tenant: 'ten_a', kind: 'executions', ids: ['order-1'] },
  context: {
    ip: '10.1.2.3',
    timeMs: wednesdayMs,
    mfaAgeMs: undefined,
    environment: 'live',
    route: 'POST /v1/executions/:id/cancel',
    ...context,
  },
  ...changes,
})
const person = (role: Role, isService = false): Pick<AccessRequest, 'principal'> => ({
  principal: { kind: 'user', id: 'usr_a', tenant: 'ten_a', role, isService },
})
const allowed = { isAllowed: true }
const denied = (...policies: string[]) => ({ isAllowed: false, policies, reason: 'forbid' })

describe('a policy forbids', () => {
  const at = (timeMs: number) => request({ context: { timeMs } })
  const proved = (mfaAgeMs: number | undefined) => request({ ...person('admin'), context: { mfaAgeMs } })
  const from = (ip: string) => request({ context: { ip } })
  const environment = (of: KeyEnvironment) => request({ context: { environment: of } })
  it.each<[string, string, AccessRequest[], AccessRequest[]]>([
    [
      'by address',
      'forbid(principal, action, resource) unless { context.ip.isInRange(ip("10.0.0.0/8")) || context.ip.isInRange(ip("fe80::/10")) }',
      [from('192.168.0.1'), from('::ffff:192.168.0.1'), from('2001:db8::1')],
      [from('10.9.9.9'), from('::ffff:10.0.0.1'), from('fe80::1%eth0')],
    ],
    [
      'by time',
      'forbid(principal, action, resource) when { context.hour < 7 || context.hour >= 19 || ["sat", "sun"].contains(context.weekday) }',
      [at(wednesdayMs - 4 * 60 * minuteMs), at(wednesdayMs + 9 * 60 * minuteMs), at(wednesdayMs + 3 * 86_400_000)],
      [at(wednesdayMs), at(wednesdayMs + 2 * 86_400_000)],
    ],
    [
      'by the age of a second factor',
      'forbid(principal is User, action, resource) unless { context has mfaAgeMs && context.mfaAgeMs <= 900000 }',
      [proved(undefined), proved(15 * minuteMs + 1)],
      [proved(0), proved(15 * minuteMs), request()],
    ],
    [
      'keys of an environment',
      'forbid(principal is ApiKey, action == Action::"executions:write", resource) when { context.environment == "live" }',
      [environment('live')],
      [environment('test'), request({ action: 'executions:read' }), request(person('owner'))],
    ],
    [
      'a role, also to services that act in its name',
      'forbid(principal in Role::"developer", action, resource)',
      [request(person('developer')), request(person('developer', true))],
      [request(person('owner')), request()],
    ],
    [
      'services',
      'forbid(principal, action, resource) when { principal.isService }',
      [request(person('owner', true))],
      [request(person('owner'))],
    ],
    [
      'a tenant',
      'forbid(principal in Tenant::"ten_a", action, resource in Tenant::"ten_a")',
      [request()],
      [request({ principal: { ...request().principal, tenant: 'ten_b' } })],
    ],
    [
      'what the path names',
      'forbid(principal, action, resource) when { resource.kind == "executions" && resource.ids.contains("order-1") }',
      [request(), request({ resource: { tenant: 'ten_a', kind: 'executions', ids: ['order-2', 'order-1'] } })],
      [
        request({ resource: { tenant: 'ten_a', kind: 'workflows', ids: ['order-1'] } }),
        request({ resource: { tenant: 'ten_a', kind: 'executions', ids: [] } }),
      ],
    ],
    [
      'a route',
      'forbid(principal, action, resource) when { context.route == "POST /v1/executions/:id/cancel" && resource has id && resource.id like "order-*" }',
      [request()],
      [request({ context: { route: 'POST /v1/executions/:id/pause' } })],
    ],
  ])('%s', async (_what, text, forbidden, others) => {
    const { decide } = await cedar(`@id("it") ${text};`)
    expect(forbidden.map(decide)).toEqual(forbidden.map(() => denied('it')))
    expect(others.map(decide)).toEqual(others.map(() => allowed))
  })
})

it('without a policy that forbids it everything is allowed that permissions allow', async () => {
  const { decide } = await cedar('// nothing yet')
  for (const action of [...permissions, 'authenticated'] as const) expect(decide(request({ action }))).toEqual(allowed)
})

it('every policy that forbids is named', async () => {
  const { decide } = await cedar(
    '@id("a") forbid(principal, action, resource); @id("b") forbid(principal, action, resource);',
  )
  const decision = decide(request())
  expect([...(decision.isAllowed ? [] : decision.policies)].sort()).toEqual(['a', 'b'])
})

describe('what cannot be decided is denied', () => {
  it('when a policy cannot be evaluated', async () => {
    const heard: string[] = []
    const { decide } = await cedar(
      '@id("sum") forbid(principal, action, resource) when { context.timeMs * 9223372036854775807 > 1 };',
      (message) => heard.push(message),
    )
    expect(decide(request())).toEqual({ isAllowed: false, policies: ['sum'], reason: 'error' })
    expect(heard).toEqual(['the policy sum cannot be evaluated'])
  })
  it('when the request cannot be shown to them', async () => {
    const heard: string[] = []
    const { decide } = await cedar('', (message) => heard.push(message))
    expect(decide(request({ context: { ip: 'unknown' } }))).toEqual({ isAllowed: false, policies: [], reason: 'error' })
    expect(heard).toHaveLength(1)
  })
})

describe('policies that are wrong keep the process from starting', () => {
  const refusal = async (text: string): Promise<string> => {
    const error = await cedar(text).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(OmiumError)
    expect((error as OmiumError).code).toBe('settings_invalid')
    return (error as OmiumError).message
  }
  it('with all that is wrong, and where', async () => {
    const said = await refusal(`// é counts as one
@id("typo") forbid(principal, action, resource) when { context.ipp == 1 };
@id("action")
forbid(principal, action == Action::"executions:wirte", resource);
@id("role") forbid(principal in Role::"chef", action, resource);
@id("never") forbid(principal, action, resource) when { 1 == 2 };
@id("gives") permit(principal, action, resource);
forbid(principal, action, resource) when { context.hour == 1 };
@id("typo") forbid(principal, action, resource) when { context.hour == 2 };
@id("template") forbid(principal == ?principal, action, resource);
`)
    const lines = said.split('\n')
    expect(lines[0]).toBe('policies.cedar: 8 bad policies')
    const expected = [
      [/:2:56 .*`typo`, attribute `ipp` in context .*did you mean `ip`/],
      [/:4:29 .*`action`, unrecognized action `Action::"executions:wirte"`/],
      [/:5:\d+ .*`role`: .*"chef"/],
      [/:6:1 .*`never`, policy is impossible/],
      [/:7:1 gives: roles and keys permit/],
      [/:8:1 a policy needs an @id/],
      [/:9:1 typo: another policy has this @id/],
      [/:10:1 a template/],
    ]
    expect(lines.slice(1)).toEqual(expected.map(([line]) => expect.stringMatching(line as RegExp)))
  })
  it('with the place of what is no Cedar', async () => {
    expect(await refusal('@id("a")\nforbid(principal, action resource);')).toMatch(
      /policies\.cedar:2:26 .*unexpected token `resource`/,
    )
  })
  it('and a file that is not there', async () => {
    const options = { environment: 'live', nowMs: () => 0, notices: { info: () => {}, error: () => {} } } as const
    await expect(openPolicies('/nowhere/policies.cedar', options)).rejects.toMatchObject({ code: 'settings_invalid' })
    expect(await openPolicies(undefined, options)).toBeUndefined()
  })
})

it('the policies of the guide are read, and do what it says', async () => {
  const guide = readFileSync(new URL('../../../../docs/guides/access-policies.md', import.meta.url), 'utf8')
  const examples = [...guide.matchAll(/```cedar\n(.*?)```/gs)].map(([, text]) => text)
  expect(examples).toHaveLength(3)
  const { decide } = await cedar(examples.join('\n'))
  const owner = (changes: Partial<AccessRequest['context']> = {}) => request({ ...person('owner'), context: changes })
  expect(decide(request({ action: 'workflows:write', context: { timeMs: wednesdayMs + 86_400_000 * 3 } }))).toEqual(
    denied('deploy-hours'),
  )
  expect(decide({ ...owner({ mfaAgeMs: 16 * minuteMs }), action: 'keys:write' })).toEqual(denied('fresh-factor'))
  expect(decide({ ...owner({ mfaAgeMs: minuteMs }), action: 'keys:write' })).toEqual(allowed)
  expect(decide(owner({ ip: '203.0.113.9' }))).toEqual(denied('owners-at-the-office'))
  expect(decide(owner())).toEqual(allowed)
})

describe('the guard', () => {
  const key: Caller = {
    tenant: 'ten_a',
    id: 'key_1',
    actor: 'key:key_1',
    permissions: new Set(['executions:read', 'models:use']),
    limits: undefined,
    session: undefined,
    role: undefined,
  }
  const guarded = async (authorizer: Authorizer, caller: Caller = key) => {
    const app = Fastify()
    app.setErrorHandler((error, _request, reply) => {
      const { status = 500, code, message, data } = error as OmiumError
      return reply.status(status).send({ code, message, data })
    })
    const policies = createPolicies(authorizer, { environment: 'test', nowMs: () => wednesdayMs })
    const lookup = async () => caller
    const silent = () => {}
    installGuard(app, {
      apiKeys: { lookup, find: lookup, changed: silent, tenantChanged: silent, revoked: silent },
      policies,
    })
    app.get('/open', { config: { public: true } }, async () => 'open')
    app.get('/v1/executions/:id/diff/:other', { config: { permission: 'executions:read' } }, async () => 'diff')
    app.get('/v1/keys', { config: { permission: 'keys:read' } }, async () => 'keys')
    app.post('/v1/chat', { config: { permission: ['models:use', 'workers:connect'] } }, async () => 'chat')
    app.get('/v1/me', { config: { permission: 'authenticated' } }, async () => 'me')
    const send = (method: 'GET' | 'HEAD' | 'POST', url: string) =>
      app.inject({ method, url, headers: { authorization: 'Bearer om_x' }, remoteAddress: '10.1.2.3' })
    return { send, policies }
  }
  const noting = () => {
    const seen: AccessRequest[] = []
    const decide: Authorizer['decide'] = (one) => {
      seen.push(one)
      return { isAllowed: true }
    }
    return { seen, decide }
  }

  it('shows policies who asks for what, decoded', async () => {
    const { seen, decide } = noting()
    const { send } = await guarded({ decide })
    await send('GET', '/v1/executions/order%2D1/diff/b')
    expect(seen).toEqual([
      {
        principal: { kind: 'key', id: 'key_1', tenant: 'ten_a', role: undefined, isService: false },
        action: 'executions:read',
        resource: { tenant: 'ten_a', kind: 'executions', ids: ['order-1', 'b'] },
        context: {
          ip: '10.1.2.3',
          timeMs: wednesdayMs,
          mfaAgeMs: undefined,
          environment: 'test',
          route: 'GET /v1/executions/:id/diff/:other',
        },
      },
    ])
  })
  it('asks about every request that has a caller and the permission, and about no other', async () => {
    const { seen, decide } = noting()
    const permissionsOfWorker: Caller = { ...key, permissions: new Set(['workers:connect']) }
    const { send } = await guarded({ decide }, permissionsOfWorker)
    for (const url of ['/open', '/v1/keys', '/v1/nowhere']) await send('GET', url)
    expect(seen).toEqual([])
    await send('POST', '/v1/chat')
    await send('HEAD', '/v1/me')
    expect(seen.map(({ action, context }) => [action, context.route])).toEqual([
      ['models:use', 'POST /v1/chat'],
      ['authenticated', 'GET /v1/me'],
    ])
  })
  it('says how old the second factor of a person is', async () => {
    const { seen, decide } = noting()
    const mfaAt = wednesdayMs - minuteMs
    const { send } = await guarded({ decide }, { ...key, id: 'usr_a', actor: 'user:usr_a', role: 'admin', mfaAt })
    await send('GET', '/v1/me')
    expect(seen).toMatchObject([{ principal: { kind: 'user', role: 'admin' }, context: { mfaAgeMs: minuteMs } }])
  })
  it('says that a service acts in the name of a person, whose role it keeps', async () => {
    const { seen, decide } = noting()
    const person: Caller = { ...key, id: 'usr_a', actor: 'user:usr_a', role: 'developer', mfaAt: wednesdayMs }
    const { lookup } = createServiceTokens({
      verify: async () => ({ tenant: 'ten_a', source: { key: 'key_1' }, permissions: ['executions:read'] }) as never,
      rights: { apiKeys: { find: async () => person } } as never,
      reads: {} as never,
      nowMs: () => wednesdayMs,
    })
    const { send } = await guarded({ decide }, await lookup('token', '10.1.2.3'))
    await send('GET', '/v1/me')
    expect(seen).toMatchObject([
      { principal: { kind: 'user', role: 'developer', isService: true }, context: { mfaAgeMs: undefined } },
    ])
  })
  it('answers with the policies that decided, and counts them', async () => {
    const { send, policies } = await guarded(
      await cedar(
        '@id("quiet") forbid(principal, action == Action::"models:use", resource); @id("sum") forbid(principal, action == Action::"authenticated", resource) when { context.timeMs * 9223372036854775807 > 1 };',
      ),
    )
    expect((await send('GET', '/v1/executions/a/diff/b')).statusCode).toBe(200)
    const answer = await send('POST', '/v1/chat')
    expect([answer.statusCode, answer.json()]).toEqual([
      403,
      {
        code: 'policy_denied',
        message: 'the policy of this installation forbids it: quiet',
        data: { policies: ['quiet'] },
      },
    ])
    expect((await send('GET', '/v1/me')).json()).toMatchObject({ code: 'policy_denied', data: { policies: ['sum'] } })
    const { values } = await policies.denials.get()
    expect(values).toEqual([
      { labels: { policy: 'quiet', reason: 'forbid' }, value: 1 },
      { labels: { policy: 'sum', reason: 'error' }, value: 1 },
    ])
  })
})
