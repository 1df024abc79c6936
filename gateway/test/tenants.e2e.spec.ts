import { once } from 'node:events'
import { eventually, type TenantOfPlatform, tenantOfPlatform } from '@omium/dev/testing'
import {
  type Permission,
  type Role,
  rolePermissions,
  roles,
  workerProtocolVersion,
  workerSubprotocol,
} from '@omium/schemas'
import { agent, type Worker, worker } from '@omium/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { describedRoutes } from './described-app.ts'

/**
 * Two tenants on the whole platform. One has something of every kind; the other knows all of its names and may do everything in
 * its own tenant. Every operation of the gateway's description that names something is tried: what belongs to somebody else is
 * answered like what does not exist.
 */

let theirs: TenantOfPlatform
let ours: TenantOfPlatform
/** who makes nothing under names that others have */
let others: TenantOfPlatform
let host: Worker

interface Answer {
  readonly status: number
  readonly text: string
}
interface Operation {
  readonly method: string
  readonly path: string
  readonly operationId: string
  readonly body: unknown
  /** its answer is a list that comes in pages */
  readonly isPaged: boolean
  /** undefined: open to everybody */
  readonly permission: Permission | 'authenticated' | readonly Permission[] | undefined
}

const sse = { accept: 'text/event-stream' }

const call = async (
  at: Pick<TenantOfPlatform, 'url' | 'apiKey'>,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> => {
  const response = await fetch(`${at.url}${path}`, {
    method,
    headers: {
      ...headers,
      authorization: `Bearer ${at.apiKey}`,
      'x-request-id': 'matrix-request',
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  })
  return { status: response.status, text: await response.text() }
}
const good = async (method: string, path: string, body?: unknown) => {
  const { status, text } = await call(theirs, method, path, body)
  expect(status, `${method} ${path}: ${text}`).toBeLessThan(300)
  // biome-ignore lint/suspicious/noExplicitAny: whatever the route answers
  return (text ? JSON.parse(text) : {}) as any
}

const waits = agent({ id: 'waits', input: z.object({}), run: async (_input, ctx) => ctx.waitFor('go') })
const breaks = agent({
  id: 'breaks',
  input: z.object({}),
  run: async () => {
    throw new TypeError('not a function')
  },
})

/** What there is, by the beginning of its path and the names of the parameters after it. */
const names: [prefix: string, values: Record<string, string>][] = [
  ['/v1/executions', { id: 'theirs-run', other: 'theirs-other' }],
  ['/v1/checkpoints', { thread: 'theirs-thread', id: 'theirs-checkpoint' }],
  ['/v1/threads', { thread: 'theirs-thread' }],
  ['/v1/workflows', { id: 'theirs-workflow', version: '1' }],
  ['/v1/schedules', { id: 'theirs-schedule' }],
  ['/v1/triggers', { id: 'theirs-trigger' }],
  ['/v1/recovery-policies', { name: 'theirs-policy' }],
  ['/v1/domains', { domain: 'theirs.example' }],
  ['/v1/members', { userId: 'theirs-user' }],
  ['/v1/privacy/erasures', { id: 'theirs-erasure' }],
]
/** What names something and is not tried: what anybody may send, and what is for people, whom identity.int.spec.ts tries. */
const untried = ['POST /v1/hooks/{tenant}/{id}', 'POST /v1/me/invitations/{tenant}/{id}/accept']
/** there is nothing of this kind here: only that nobody learns more is tried */
const inventedIds = /^\/v1\/(members|replays|privacy\/erasures)\/|\/deliveries\/\{|\/diff\/|\/retention$/
const made: string[] = []
const has = (prefix: string, id: string) => {
  names.push([prefix, { id, delivery: 'theirs-delivery' }])
  made.push(id)
}

const connection = { name: 'theirs', settings: { kind: 'oidc', issuer: 'https://idp.example', clientId: 'x' } }
const bodies: Record<string, unknown> = {
  createWorkflowVersion: { definition: { name: 'x', nodes: { a: { type: 'set', value: 1 } } } },
  changeMemberRole: { role: 'viewer' },
  addCheckpointWrites: { taskId: 't', writes: [], state: { json: {} } },
  putSsoConnectionsById: connection,
  postSsoConnections: connection,
  postDomains: { domain: 'ours.example' },
  postPrivacyErasures: { email: 'nobody@example.org' },
  createApiKey: { name: 'k', scopes: { permissions: ['keys:read'] } },
  verifyApiKey: { key: 'om_test_none' },
  inviteMember: { email: 'b@example.org', role: 'viewer' },
  foundTenant: { name: 'Second' },
  validateRecoveryPolicy: { policy: { rules: [] } },
}

/** Every operation, from the route table of the gateway as it is here: what is new is tried. */
const operations = async (): Promise<readonly Operation[]> => {
  const { document, rules } = await described
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([name, operation]) => {
      const method = name.toUpperCase()
      const operationId = String(operation['operationId'])
      const { requestBody, responses, parameters = [] } = operation
      const listed = responses['200']?.content?.['application/json'] as { schema?: { properties?: object } } | undefined
      return {
        method,
        path,
        operationId,
        body: requestBody && (requestBody.content['application/json']?.example ?? bodies[operationId] ?? {}),
        isPaged: 'items' in (listed?.schema?.properties ?? {}) && parameters.some((one) => one.name === 'cursor'),
        permission: rules.find((rule) => rule.method === method && rule.url.replace(/:(\w+)/g, '{$1}') === path)
          ?.permission,
      }
    }),
  )
}
const described = describedRoutes()

/** Of the same form, and nobody's. */
const absentOf = (id: string) => (id.startsWith('theirs') ? id.replace('theirs', 'nobody') : `${id.slice(0, -4)}zzzz`)

const pathsOf = (path: string): { foreign: string; absent: string; ids: string[][] } | undefined => {
  const found = names.filter(([prefix]) => path.startsWith(`${prefix}/`)).at(-1)
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string)
  if (!found || parameters.length === 0) return undefined
  const ids = parameters.map((name) => {
    const id = found[1][name] as string
    return name === 'version' ? [id, id] : [id, absentOf(id)]
  })
  const fill = (which: 0 | 1) =>
    parameters.reduce((text, name, i) => text.replace(`{${name}}`, ids[i]?.[which] as string), path)
  return { foreign: fill(0), absent: fill(1), ids }
}

/** Whether it makes what there is not, or makes sure that there is none: then a name that others have, too, is one's own. */
const makes = (method: string, path: string): boolean =>
  (method === 'PUT' && !path.startsWith('/v1/sso/')) ||
  /retention$|\/writes$|\/v1\/workflows\/\{id\}$|\/v1\/threads/.test(path)

/** Without what was asked for and what differs in each answer. */
const told = ({ status, text }: Answer, ids: readonly string[][]): string =>
  ids
    .flat()
    .reduce((rest, id) => rest.replaceAll(id, '<id>'), `${status} ${text}`)
    .replace(/"position":"[^"]*"/g, '')
    .replace(/"(createdAt|updatedAt|publishedAt|openedAt|nextAt|nextFireAt)":"[^"]*"/g, '')

const everythingOfTheirs = async () => {
  const seen: string[] = []
  for (const { method, path } of await operations()) {
    if (method !== 'GET' || /result$|\/fork|events$|charges$|stream$/.test(path)) continue
    const at = path.includes('{')
      ? pathsOf(path)?.foreign
      : /keys|me$|agents|stats|openapi|templates/.test(path)
        ? undefined
        : path
    if (at) seen.push(`${at} ${(await call(theirs, 'GET', at)).text.replace(/"lastUsedAt":"[^"]*",?/g, '')}`)
  }
  return seen
}

beforeAll(async () => {
  ;[theirs, ours, others] = [await tenantOfPlatform(), await tenantOfPlatform(), await tenantOfPlatform()]
  host = worker({ agents: [waits, breaks], url: theirs.url, apiKey: theirs.apiKey })
  await host.start()
  await eventually(async () => expect((await good('GET', '/v1/agents')).items).toHaveLength(2), { timeoutMs: 60_000 })
  for (const id of ['theirs-run', 'theirs-other'])
    await good('POST', '/v1/executions', { agent: 'waits', input: {}, id })
  await good('POST', '/v1/checkpoints', {
    thread: 'theirs-thread',
    id: 'theirs-checkpoint',
    state: { json: { secret: 1 } },
  })
  const definition = { name: 'theirs', nodes: { a: { type: 'set', value: 1 } } }
  await good('POST', '/v1/workflows/theirs-workflow', { definition, publish: true })
  await good('PUT', '/v1/schedules/theirs-schedule', {
    workflow: 'theirs-workflow',
    cron: '0 0 1 1 *',
    timezone: 'UTC',
  })
  await good('PUT', '/v1/triggers/theirs-trigger', { workflow: 'theirs-workflow', source: { type: 'webhook' } })
  await good('PUT', '/v1/recovery-policies/theirs-policy', { policy: { rules: [] } })
  const recovery = { policy: 'theirs-policy' }
  await good('POST', '/v1/executions', { agent: 'breaks', input: {}, id: 'theirs-broken', options: { recovery } })
  has('/v1/keys', (await good('POST', '/v1/keys', { name: 'k', scopes: { permissions: ['keys:read'] } })).id)
  has('/v1/invitations', (await good('POST', '/v1/invitations', { email: 'a@example.org', role: 'viewer' })).id)
  has('/v1/sso/connections', (await good('POST', '/v1/sso/connections', connection)).id)
  await good('POST', '/v1/domains', { domain: 'theirs.example' })
  const hook = await good('POST', '/v1/webhooks', { url: 'https://example.com/hooks', types: ['execution.cancelled'] })
  await good('POST', `/v1/webhooks/${hook.id}/disable`)
  has('/v1/webhooks', hook.id)
  has('/v1/replays', (await good('POST', '/v1/replays', { runs: { ids: ['theirs-other'] } })).id)
  await eventually(
    async () => {
      const { items } = await good('GET', '/v1/recoveries')
      // a person is asked, who says nothing
      expect(items).toMatchObject([{ status: 'escalated' }])
      has('/v1/recoveries', items[0].id)
    },
    { timeoutMs: 60_000 },
  )
  // from now on nothing of theirs changes by itself
  for (const id of ['theirs-run', 'theirs-other'])
    await eventually(async () => expect((await good('GET', `/v1/executions/${id}`)).status).toBe('suspended'), {
      timeoutMs: 60_000,
    })
  await eventually(
    async () => {
      const seen = await everythingOfTheirs()
      expect(await everythingOfTheirs()).toEqual(seen)
    },
    { timeoutMs: 60_000 },
  )
})
afterAll(async () => {
  await host?.stop()
})

describe("what is another tenant's", () => {
  it('is answered like what does not exist, by every operation that names something, and stays as it is', async () => {
    const before = await everythingOfTheirs()
    expect(before.length).toBeGreaterThan(20)
    const wrong: string[] = []
    let tried = 0
    for (const { method, path, body } of await operations()) {
      const paths = pathsOf(path)
      if (!paths) {
        if (path.includes('{')) expect(untried, 'give it a name').toContain(`${method} ${path}`)
        continue
      }
      tried++
      const foreign = await call(ours, method, paths.foreign, body)
      const absent = await call(ours, method, paths.absent, body)
      if (told(foreign, paths.ids) !== told(absent, paths.ids) || foreign.status >= 500)
        wrong.push(`${method} ${path}: ${told(foreign, paths.ids)}\n   but ${told(absent, paths.ids)}`)
      // what is made, or made sure to be gone, under a name that somebody else has too is one's own; else there is nothing
      if (!makes(method, path) && foreign.status !== 404)
        wrong.push(`${method} ${path}: ${foreign.status} ${foreign.text}`)
    }
    expect(wrong).toEqual([])
    expect(tried).toBeGreaterThan(70)
    expect(await everythingOfTheirs()).toEqual(before)
  })

  it.each(roles)('nor to anybody there: a role of %s', { timeout: 60_000 }, async (role: Role) => {
    const keyOf = async (at: TenantOfPlatform) => {
      const scopes = { permissions: rolePermissions[role] }
      const { status, text } = await call(at, 'POST', '/v1/keys', { name: role, scopes })
      expect(status, text).toBe(201)
      return { url: at.url, apiKey: (JSON.parse(text) as { key: string }).key }
    }
    const [own, foreign] = [await keyOf(theirs), await keyOf(others)]
    const wrong: string[] = []
    const ask = async ({ method, path, body, permission }: Operation) => {
      const named = pathsOf(path)
      if (!named || permission === undefined) return
      // leaving needs nobody's leave; of others the route itself asks
      const needed = `${method} ${path}` === 'DELETE /v1/members/{userId}' ? 'members:write' : permission
      const held: readonly string[] = rolePermissions[role]
      const may = needed === 'authenticated' || [needed].flat().some((one) => held.includes(one))
      const expectStatus = async (who: typeof own, isRight: (status: number) => boolean) => {
        const { status, text } = await call(who, method, named.foreign, body)
        if (!isRight(status)) wrong.push(`${method} ${path}, ${who === own ? 'own' : 'foreign'}: ${status} ${text}`)
      }
      const refused = (status: number) => status === 403
      if (!may) await Promise.all([expectStatus(own, refused), expectStatus(foreign, refused)])
      else {
        // what changes something of theirs is not done here
        if (method === 'GET') await expectStatus(own, (status) => status < 300 || inventedIds.test(path))
        if (!makes(method, path)) await expectStatus(foreign, (status) => status === 404)
      }
    }
    const waiting = [...(await operations())]
    const askOn = async () => {
      for (let one = waiting.shift(); one; one = waiting.shift()) await ask(one)
    }
    await Promise.all(Array.from({ length: 8 }, askOn))
    expect(wrong).toEqual([])
  })

  it('is in no list', async () => {
    const lists = (await operations()).filter(
      ({ method, path }) => method === 'GET' && /^\/v1\/(?!me\/)[^{]*$/.test(path),
    )
    for (const { path } of lists) {
      const { status, text } = await call(ours, 'GET', path)
      expect(status === 426 || status === 200, `${path}: ${text}`).toBe(true)
      for (const id of [...made, 'theirs-run', 'theirs-thread', 'theirs-trigger', 'theirs-broken'])
        expect(text, path).not.toContain(id)
    }
  })

  it('is not found sooner or later than what does not exist', async () => {
    const times: Record<string, number[]> = { 'theirs-run': [], 'nobody-run': [] }
    // what else the machine does adds to some of them: the fastest tell what the answer itself takes, the more the better
    await eventually(
      async () => {
        for (let i = 0; i < 40; i++)
          for (const [id, taken] of Object.entries(times)) {
            const begin = performance.now()
            await call(ours, 'GET', `/v1/executions/${id}`)
            taken.push(performance.now() - begin)
          }
        const [foreign = 0, absent = 0] = Object.values(times).map(
          (taken) => taken.sort((a, b) => a - b)[Math.floor(taken.length / 10)],
        )
        expect(Math.abs(foreign - absent)).toBeLessThan(20)
      },
      { timeoutMs: 60_000 },
    )
  })

  it('is not streamed: no run, no feed, no events, by neither kind of stream', async () => {
    for (const id of ['theirs-run', 'nobody-run']) {
      const { status, text } = await call(ours, 'GET', `/v1/executions/${id}/events`, undefined, sse)
      expect([status, text.includes('execution_unknown')], id).toEqual([404, true])
    }
    const leaving = new AbortController()
    const feeds = await Promise.all(
      ['/v1/events', '/v1/charges'].map((path) =>
        fetch(`${ours.url}${path}`, {
          headers: { ...sse, authorization: `Bearer ${ours.apiKey}` },
          signal: leaving.signal,
        }),
      ),
    )
    let streamed = ''
    for (const { status, body } of feeds) {
      expect(status).toBe(200)
      void (async () => {
        for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) streamed += chunk
      })().catch(() => undefined)
    }
    const socket = new WebSocket(`${ours.url.replace('http', 'ws')}/v1/stream`, {
      headers: { authorization: `Bearer ${ours.apiKey}` },
    })
    await once(socket, 'open')
    const messages: { type: string; subscription?: string; error?: { code: string; detail: string } }[] = []
    socket.on('message', (data) => messages.push(JSON.parse(String(data))))
    for (const [subscription, execution] of Object.entries({ a: 'theirs-run', b: 'nobody-run' }))
      socket.send(JSON.stringify({ type: 'subscribe', subscription, execution }))
    socket.send(JSON.stringify({ type: 'follow', subscription: 'feed' }))
    socket.send(JSON.stringify({ type: 'follow', subscription: 'charges', feed: 'charges' }))
    const of = (subscription: string) => messages.filter((one) => one.subscription === subscription)
    await eventually(() => {
      for (const name of ['a', 'b', 'feed', 'charges']) expect(of(name).length).toBeGreaterThan(0)
    })
    // a run of theirs goes on, then one of ours begins: were the former in the feed, it would have come first
    await good('POST', '/v1/executions/theirs-run/signals', { name: 'go' })
    await eventually(async () => expect((await good('GET', '/v1/executions/theirs-run')).status).toBe('completed'), {
      timeoutMs: 60_000,
    })
    const own = worker({ agents: [waits], url: ours.url, apiKey: ours.apiKey })
    await own.start()
    await eventually(
      async () =>
        expect(
          (await call(ours, 'POST', '/v1/executions', { agent: 'waits', input: {}, id: 'ours-run' })).status,
        ).toBeLessThan(300),
      { timeoutMs: 60_000 },
    )
    await eventually(() => expect(JSON.stringify(of('feed'))).toContain('ours-run'), { timeoutMs: 60_000 })
    await eventually(() => expect(streamed).toContain('ours-run'), { timeoutMs: 60_000 })
    await own.stop()
    expect(streamed).not.toContain('theirs-run')
    leaving.abort()
    expect(JSON.stringify(messages)).not.toContain('"execution":"theirs-run"')
    expect(of('a').map(({ type, error }) => [type, error?.code])).toEqual(
      of('b').map(({ type, error }) => [type, error?.code]),
    )
    socket.close()
  })
})

it('every list comes in pages, whole and in the same order', async () => {
  const paged = (await operations()).filter(({ isPaged }) => isPaged)
  expect(paged.length).toBeGreaterThan(20)
  const listed = async (path: string, query: string) => {
    const { status, text } = await call(theirs, 'GET', `${path}?${query}`)
    expect(status, `${path}: ${text}`).toBe(200)
    return JSON.parse(text.replace(/,"lastUsedAt":"[^"]*"/g, '')) as { items: unknown[]; nextCursor?: string }
  }
  for (const { path } of paged) {
    const at = path.includes('{') ? (pathsOf(path)?.foreign as string) : path
    const whole = (await listed(at, 'limit=100')).items
    const pages: unknown[] = []
    for (let cursor: string | undefined = ''; cursor !== undefined && pages.length < whole.length; ) {
      const page = await listed(at, `limit=1${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
      expect(page.items.length, at).toBeLessThanOrEqual(1)
      pages.push(...page.items)
      cursor = page.nextCursor
    }
    expect(pages, at).toEqual(whole)
  }
})

it('every POST that is sent again under its key is answered the same, and nothing else goes under that key', async () => {
  const fresh = /"(key|secret|token|expiresAt|position|requestId|deduplicated|url)":("[^"]*"|true|false|\d+),?/g
  const wrong: string[] = []
  const posts = (await operations()).filter(({ method, permission }) => method === 'POST' && permission !== undefined)
  expect(posts.length).toBeGreaterThan(40)
  for (const { path, operationId, body } of posts) {
    const at = pathsOf(path)?.foreign ?? path
    const once = { 'idempotency-key': `matrix-${operationId}` }
    const first = await call(ours, 'POST', at, body, once)
    const again = await call(ours, 'POST', at, body, once)
    const kept = ({ status, text }: Answer) => `${status < 300 ? 'done' : status} ${text.replace(fresh, '')}`
    // a secret is told once: then it is said that this was done
    const isTold = again.status === 409 && again.text.includes('this was done before')
    if (!isTold && kept(first) !== kept(again)) wrong.push(`POST ${at}: ${kept(first)}\n   then ${kept(again)}`)
    // refused before anything is done for it: the key belongs to nothing
    if ([403, 422].includes(first.status) && !first.text.includes('input_invalid')) continue
    const other = await call(ours, 'POST', '/v1/recovery-policies/validate', { policy: { rules: [{}] } }, once)
    if (!other.text.includes('idempotency_conflict')) wrong.push(`POST ${at}: another request: ${other.status}`)
  }
  expect(wrong).toEqual([])
})

describe('the model gateway', () => {
  it('takes keys that may use models, of whichever tenant, and no others', async () => {
    const { permissions } = JSON.parse((await call(theirs, 'GET', '/v1/me')).text) as { permissions: string[] }
    const url = theirs.environment['OPENAI_BASE_URL'] as string
    for (const permission of permissions) {
      const { key } = await good('POST', '/v1/keys', { name: 'one', scopes: { permissions: [permission] } })
      const { status } = await fetch(`${url}/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'there-is-none', messages: [] }),
      })
      expect(status !== 403, permission).toBe(['models:use', 'workers:connect'].includes(permission))
    }
  })
})

describe('service tokens', () => {
  const tokenFor = async (apiKey: string, audience: string, permission: string) => {
    const { text } = await call({ ...theirs, apiKey }, 'POST', '/v1/service-tokens', {
      audience,
      permissions: [permission],
    })
    return (JSON.parse(text) as { token: string }).token
  }

  it('open the model gateway, and each only what they are for', async () => {
    const url = `${theirs.environment['OPENAI_BASE_URL']}/models`
    const status = async (token: string) => (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status
    expect(await status(await tokenFor(theirs.apiKey, 'models', 'models:use'))).toBe(200)
    expect(await status(await tokenFor(theirs.apiKey, 'models', 'executions:read'))).toBe(403)
    expect(await status(await tokenFor(theirs.apiKey, 'gateway', 'models:use'))).toBe(401)
  })

  it('open the engines, until the key behind them is revoked: then connections end, too', async () => {
    const scopes = { permissions: ['workers:connect', 'tokens:write', 'models:use'] }
    const { id, key } = await good('POST', '/v1/keys', { name: 'worker', scopes })
    const connect = JSON.parse((await call({ ...theirs, apiKey: key }, 'POST', '/v1/workers/connect')).text)
    const greet = async (token: string) => {
      const socket = new WebSocket(connect.endpoints[0], workerSubprotocol)
      const received: { type: string; error?: { code: string } }[] = []
      socket.on('message', (data) => received.push(...JSON.parse(String(data))))
      socket.on('error', () => undefined)
      await once(socket, 'open')
      const about = { workerId: `worker-${token.length}`, runtime: 'spec', agents: [], slots: 1 }
      socket.send(JSON.stringify([{ type: 'hello', protocol: workerProtocolVersion, token, ...about }]))
      await eventually(() => expect(received).not.toEqual([]))
      const beat = setInterval(() => socket.send('[{"type":"heartbeat"}]'), 200)
      socket.on('close', () => clearInterval(beat))
      return { socket, received }
    }
    const service = await tokenFor(key, 'engine', 'workers:connect')
    const welcome = [{ type: 'welcome' }]
    const opened = [await greet(connect.token), await greet(service)]
    for (const { received } of opened) expect(received).toMatchObject(welcome)
    const refused = [{ type: 'refused', error: { code: 'unauthenticated' } }]
    for (const [audience, permission] of [
      ['models', 'workers:connect'],
      ['engine', 'models:use'],
    ] as const)
      expect((await greet(await tokenFor(key, audience, permission))).received).toMatchObject(refused)
    await good('DELETE', `/v1/keys/${id}`)
    for (const { received } of opened)
      await eventually(() => expect(received.at(-1)).toMatchObject(refused[0] as object), { timeoutMs: 20_000 })
    for (const token of [connect.token, service]) expect((await greet(token)).received).toMatchObject(refused)
  })
})
