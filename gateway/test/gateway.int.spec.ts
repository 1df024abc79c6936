import { putTenants } from '@omium/access/testing'
import { eventually, newApiKey } from '@omium/dev/testing'
import { verifyWorkerToken } from '@omium/worker-tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayWorld, keyA, keyB, startGatewayWorld } from './gateway-world.ts'
import { completed, createStarter, input, type Starter, started, step, versions } from './started-runs.ts'

/** Every answer of the gateway, provoked; streams of events: events.int.spec.ts. */
let world: GatewayWorld
let gateway: GatewayWorld['gateway']
let engine: GatewayWorld['engine']
let pool: GatewayWorld['pool']
let env: GatewayWorld['env']
let call: GatewayWorld['call']
/** gives up soon what does not come */
let hasty: GatewayWorld['gateway']
let newId: Starter['newId']
let start: Starter['start']

beforeAll(async () => {
  world = await startGatewayWorld()
  ;({ gateway, engine, pool, env, call } = world)
  ;({ newId, start } = createStarter(call))
  hasty = await world.startOne({ commandTimeoutMs: 300, limits: { readWaitMs: 300 } })
})
afterAll(async () => {
  await hasty?.close()
  await world?.close()
})

describe('starting an execution', () => {
  it('answers 201 with the position of the accepted event, which a read waits for', async () => {
    const { id, position } = await start()
    const { status, body } = await call('GET', `/v1/executions/${id}?min_position=${position}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      id,
      agent: 'writer',
      status: 'queued',
      input,
      options: { priority: 5 },
      waitingFor: ['worker'],
    })
    expect(body.position).toBe(position)
  })

  it('is done once: the same request again answers 200 and the same id with another input is a conflict', async () => {
    const { id } = await start()
    const again = await call('POST', '/v1/executions', { body: { agent: 'writer', input, id } })
    expect([again.status, again.body.deduplicated]).toEqual([200, true])
    const other = await call('POST', '/v1/executions', { body: { agent: 'writer', input: { topic: 'else' }, id } })
    expect([other.status, other.body.code]).toEqual([409, 'execution_conflict'])
  })

  it('is done once when the request is sent ten times at the same moment', async () => {
    const id = newId()
    const body = { agent: 'writer', input, id }
    const replies = await Promise.all(Array.from({ length: 10 }, () => call('POST', '/v1/executions', { body })))
    expect(replies.every(({ status }) => status === 200 || status === 201)).toBe(true)
    expect(replies.filter(({ body: { deduplicated } }) => !deduplicated).length).toBeGreaterThan(0)
    const { body: page } = await call('GET', `/v1/executions/${id}/events`)
    expect(versions(page.items)).toEqual([1])
  })

  it('mints an id when none is given', async () => {
    const { body } = await call('POST', '/v1/executions', { body: { agent: 'writer', input } })
    expect(body.executionId).toMatch(/^exe_[0-9a-f]{32}$/)
  })

  it('seals a large input to object storage and gives it back whole', async () => {
    const large = { topic: 'x'.repeat(200_000) }
    const id = newId()
    const { position } = await start(id, { agent: 'writer', input: large, id })
    const command = engine.commands.findLast(({ envelope }) => envelope.aggregate.endsWith(`/${id}`))
    expect(command?.data).toMatchObject({ input: { ref: { bytes: expect.any(Number) } } })
    const { body } = await call('GET', `/v1/executions/${id}?min_position=${position}`)
    expect(body.input).toEqual(large)
  })

  it('tells that no outcome came in time, and a repetition finds it', async () => {
    engine.hold()
    const id = newId()
    const request = { body: { agent: 'writer', input, id } }
    const { status, body } = await call('POST', '/v1/executions', { ...request, at: hasty.url })
    expect([status, body.code, body.retryable]).toEqual([504, 'timeout', true])
    engine.release()
    const again = await call('POST', '/v1/executions', request)
    expect([200, 201]).toContain(again.status)
    const { body: page } = await call('GET', `/v1/executions/${id}/events`)
    expect(versions(page.items)).toEqual([1])
  })
})

describe('bad requests', () => {
  const cases: [string, () => ReturnType<typeof call>, number, string][] = [
    ['no key', () => call('GET', '/v1/executions', { key: null }), 401, 'unauthenticated'],
    ['an unknown key', () => call('GET', '/v1/executions', { key: newApiKey() }), 401, 'unauthenticated'],
    ['broken JSON', () => call('POST', '/v1/executions', { raw: '{"agent":' }), 400, 'invalid_json'],
    ['a body without an agent', () => call('POST', '/v1/executions', { body: { input } }), 422, 'invalid_request'],
    [
      'an unknown agent',
      () => call('POST', '/v1/executions', { body: { agent: 'nobody', input } }),
      404,
      'agent_unknown',
    ],
    [
      'an input that the agent refuses',
      () => call('POST', '/v1/executions', { body: { agent: 'writer', input: { topic: 'x' } } }),
      422,
      'input_invalid',
    ],
    [
      'an id with a slash',
      () => call('POST', '/v1/executions', { body: { agent: 'writer', input, id: 'a/b' } }),
      422,
      'invalid_request',
    ],
    [
      'options out of range',
      () => call('POST', '/v1/executions', { body: { agent: 'writer', input, options: { priority: 1000 } } }),
      422,
      'invalid_request',
    ],
    [
      'a body of 11 MiB',
      () =>
        call('POST', '/v1/executions', {
          raw: JSON.stringify({ agent: 'writer', input: 'x'.repeat(11 * 1024 * 1024) }),
        }),
      413,
      'payload_too_large',
    ],
    [
      'a very deep input',
      () =>
        call('POST', '/v1/executions', {
          raw: `{"agent":"writer","input":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
        }),
      400,
      'invalid_json',
    ],
    [
      'another content type',
      () => call('POST', '/v1/executions', { raw: 'x', headers: { 'content-type': 'text/xml' } }),
      415,
      'unsupported_media_type',
    ],
    ['an unknown route', () => call('GET', '/v1/nothing'), 404, 'not_found'],
    ['an unknown execution', () => call('GET', '/v1/executions/none'), 404, 'execution_unknown'],
    [
      'a signal to an unknown execution',
      () => call('POST', '/v1/executions/none/signals', { body: { name: 'go' } }),
      404,
      'execution_unknown',
    ],
    ['a foreign cursor', () => call('GET', '/v1/executions?cursor=zzz'), 422, 'invalid_request'],
    ['a malformed position', () => call('GET', '/v1/executions?min_position=1'), 422, 'invalid_request'],
  ]
  it.each(cases)('%s', async (_name, request, status, code) => {
    const reply = await request()
    expect([reply.status, reply.body.code]).toEqual([status, code])
    expect(reply.headers.get('content-type')).toBe('application/problem+json')
    expect(reply.body).toMatchObject({
      type: `urn:omium:error:${code}`,
      title: expect.any(String),
      detail: expect.any(String),
      requestId: reply.headers.get('x-request-id'),
    })
  })

  it('a Last-Event-ID that no stream sent', async () => {
    const { id } = await start()
    const headers = { accept: 'text/event-stream', 'last-event-id': 'x' }
    const { status, body } = await call('GET', `/v1/executions/${id}/events`, { headers })
    expect([status, body.code]).toEqual([422, 'invalid_request'])
  })

  it('name each place that does not fit', async () => {
    const { body } = await call('POST', '/v1/executions', { body: { agent: '?', id: ' ' } })
    expect(body.errors.map(({ path }: { path: string }) => path).sort()).toEqual(['agent', 'id'])
  })

  it('a position that is never reached is answered after a bounded wait', async () => {
    const { status, body } = await call('GET', '/v1/executions?min_position=0:999999999', { at: hasty.url })
    expect([status, body.code]).toEqual([412, 'offset_not_reached'])
  })
})

describe('tenants', () => {
  it("see another's execution nowhere", async () => {
    const { id, position } = await start()
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    const foreign = { key: keyB }
    for (const path of ['', '/result', '/steps', '/events', '/journal', `/diff/${id}`]) {
      const { status, body } = await call('GET', `/v1/executions/${id}${path}`, foreign)
      expect([path, status, body.code]).toEqual([path, 404, 'execution_unknown'])
    }
    for (const [path, body] of [
      ['signals', { name: 'go' }],
      ['approvals', { path: 'a#1', decision: 'approved' }],
      ['pause', undefined],
      ['resume', undefined],
      ['cancel', undefined],
      ['fork', {}],
      ['fork/preview', {}],
      ['rollback', { toPath: null }],
      ['rollback/preview', { toPath: null }],
      ['resolve', { path: 'a#1', resolution: { status: 'retry' } }],
    ] as const) {
      const reply = await call('POST', `/v1/executions/${id}/${path}`, { ...foreign, ...(body && { body }) })
      expect([path, reply.status, reply.body.code]).toEqual([path, 404, 'execution_unknown'])
    }
    expect((await call('GET', '/v1/executions', foreign)).body.items).toEqual([])
    const ownId = newId()
    const own = await start(ownId, {
      agent: 'writer',
      input,
      id: ownId,
      options: { labels: { replay: 'rpl-a', team: 'x:y' } },
    })
    await call('GET', `/v1/executions/${own.id}?min_position=${own.position}`)
    const replayed = await call('POST', '/v1/replays', { ...foreign, body: { runs: { ids: [id] } } })
    expect(replayed.body).toMatchObject({ started: [], refused: [{ of: id, error: { code: 'execution_unknown' } }] })
    const report = await call('GET', '/v1/replays/rpl-a', foreign)
    expect([report.status, report.body.code]).toEqual([404, 'not_found'])
    const labelled = (key: string) => call('GET', '/v1/executions?label=team:x:y&label=replay:rpl-a', { key })
    expect((await labelled(keyA)).body.items).toMatchObject([{ id: own.id }])
    expect((await labelled(keyB)).body.items).toEqual([])
  })

  it('may both use the same id', async () => {
    const { id } = await start()
    const { status } = await call('POST', '/v1/executions', { key: keyB, body: { agent: 'writer', input, id } })
    expect(status).toBe(201)
    await pool.query("DELETE FROM executions.executions WHERE tenant = 'ten_b'")
  })
})

describe('commands', () => {
  it('are answered with what was decided', async () => {
    const { id } = await start()
    const signal = await call('POST', `/v1/executions/${id}/signals`, {
      body: { name: 'go', payload: { n: 1 }, id: 's1' },
    })
    expect([signal.status, signal.body.deduplicated]).toEqual([200, false])
    const again = await call('POST', `/v1/executions/${id}/signals`, {
      body: { name: 'go', payload: { n: 1 }, id: 's1' },
    })
    expect([again.status, again.body.deduplicated]).toEqual([200, true])
    // no body at all, and an empty one with a content type
    expect((await call('POST', `/v1/executions/${id}/pause`)).status).toBe(200)
    expect((await call('POST', `/v1/executions/${id}/resume`, { raw: '' })).status).toBe(200)
    const approval = await call('POST', `/v1/executions/${id}/approvals`, {
      body: { path: 'a#1', decision: 'approved' },
    })
    expect([approval.status, approval.body.code]).toEqual([404, 'approval_unknown'])
    const cancel = await call('POST', `/v1/executions/${id}/cancel`, { body: { reason: 'enough' } })
    const { body } = await call('GET', `/v1/executions/${id}?min_position=${cancel.body.position}`)
    expect(body.status).toBe('cancelled')
    const late = await call('POST', `/v1/executions/${id}/signals`, { body: { name: 'go' } })
    expect([late.status, late.body.code]).toEqual([409, 'execution_finished'])
  })

  it('with an idempotency key are decided once', async () => {
    const { id } = await start()
    const headers = { 'idempotency-key': 'k1' }
    expect((await call('POST', `/v1/executions/${id}/pause`, { headers })).body.deduplicated).toBe(false)
    expect((await call('POST', `/v1/executions/${id}/pause`, { headers })).body.deduplicated).toBe(true)
    const other = await call('POST', `/v1/executions/${id}/resume`, { headers })
    expect([other.status, other.body.code]).toEqual([409, 'idempotency_conflict'])
  })

  it('fork takes the recorded results over, up to a step', async () => {
    const { id } = await start()
    await engine.write('ten_a', id, started, step(1, 'one'), step(2, 'x'.repeat(100)), step(3), completed)
    await call('GET', `/v1/executions/${id}/result?wait_ms=5000`)
    const fork = await call('POST', `/v1/executions/${id}/fork`, {
      body: { toPath: 'step#2', input: { topic: 'other' } },
    })
    expect(fork.status).toBe(201)
    const command = engine.commands.at(-1)
    expect(command?.data).toMatchObject({
      input: { inline: { topic: 'other' } },
      forkedFrom: {
        executionId: id,
        uptoPath: 'step#2',
        seed: {
          inline: [
            { path: 'step#1', status: 'completed', kind: 'step', requestHash: '*', value: 'one' },
            { path: 'step#2', status: 'completed', kind: 'step', requestHash: '*', value: 'x'.repeat(100) },
          ],
        },
      },
    })
    const { body } = await call('GET', `/v1/executions/${fork.body.executionId}?min_position=${fork.body.position}`)
    expect(body.forkedFrom).toBe(id)
    const pages = await Promise.all(
      ['', '&cursor=2'].map((cursor) => call('GET', `/v1/executions/${id}/journal?limit=2${cursor}`)),
    )
    expect(pages.map(({ body: { items, nextCursor } }) => [items.length, nextCursor])).toEqual([
      [2, '2'],
      [1, undefined],
    ])
    expect(pages[0]?.body.items[0]).toMatchObject({ name: 'step', entry: { path: 'step#1', value: 'one' } })
    const unknown = await call('POST', `/v1/executions/${id}/fork`, { body: { toPath: 'nowhere#1' } })
    expect([unknown.status, unknown.body.code]).toEqual([404, 'step_unknown'])
  })
})

describe('a replay', () => {
  it('is what its id was first used for: it cannot be had again with other runs, changes or budgets', async () => {
    const ids: string[] = []
    for (let i = 0; i < 3; i++) {
      const { id } = await start()
      await engine.write('ten_a', id, started, step(1), completed)
      await call('GET', `/v1/executions/${id}/result?wait_ms=5000`)
      ids.push(id)
    }
    const runs = { ids: [ids[0], ids[1]] }
    const body = { id: 'rpl-once', runs, budget: { totalMicroCredits: 1000 } }
    const replay = (change: object) => call('POST', '/v1/replays', { body: { ...body, ...change } })
    const startedOf = (answer: { body: { started: { of: string }[] } }) =>
      answer.body.started.map(({ of }) => of).sort()
    const first = await replay({})
    expect([first.status, startedOf(first)]).toEqual([201, [ids[0], ids[1]].sort()])
    const budgets = engine.commands.slice(-2).map(({ data }) => (data as { options: object }).options)
    expect(budgets).toMatchObject([{ budgetMicroCredits: 500 }, { budgetMicroCredits: 500 }])
    const again = await replay({})
    expect([again.status, again.body.started.length, startedOf(again)]).toEqual([201, 2, startedOf(first)])
    const others = [
      { budget: { totalMicroCredits: 9000 } },
      { runs: { ids: [ids[0], ids[2]] } },
      { runs: { ids: [ids[2]] } },
      { overrides: { models: { '*': 'other' } } },
    ]
    const forks = async () => (await call('GET', '/v1/executions?label=replay:rpl-once')).body.items.length
    for (const other of others) {
      const { status, body } = await replay(other)
      expect([status, body.code]).toEqual([409, 'execution_conflict'])
    }
    expect(await forks()).toBe(2)
  })
})

describe('the result', () => {
  it('is waited for by a long poll that ends with the execution', async () => {
    const { id, position } = await start()
    const waiting = call('GET', `/v1/executions/${id}/result?wait_ms=20000&min_position=${position}`)
    await engine.write('ten_a', id, started, step(1))
    await engine.write('ten_a', id, completed)
    const { status, body } = await waiting
    expect(status).toBe(200)
    expect(body).toMatchObject({ status: 'completed', output: 'done', stepsCompleted: 1 })
  })

  it('is 202 with how the execution stands when the wait is over', async () => {
    const { id, position } = await start()
    const { status, body } = await call('GET', `/v1/executions/${id}/result?wait_ms=50&min_position=${position}`)
    expect([status, body.status]).toEqual([202, 'queued'])
  })
})

describe('the platform', () => {
  it('tells workers where the engines are, with a token that engines verify', async () => {
    await eventually(async () => {
      const { status, body } = await call('POST', '/v1/workers/connect')
      expect(status).toBe(200)
      expect(body.endpoints).toEqual([world.endpoint])
      expect(verifyWorkerToken(world.env['OMIUM_TOKEN_SECRET'] ?? '', body.token, Date.now())).toMatchObject({
        tenant: 'ten_a',
      })
    })
  })

  it('lists failures, newest first', async () => {
    const { id } = await start()
    await engine.write('ten_a', id, started, {
      type: 'ExecutionFailed',
      data: { attempt: 1, error: { code: 'agent_threw', detail: 'boom', retryable: false } },
    })
    await call('GET', `/v1/executions/${id}/result?wait_ms=5000`)
    const { body } = await call('GET', `/v1/failures?execution=${id}`)
    expect(body.items).toMatchObject([{ executionId: id, agent: 'writer', code: 'agent_threw', final: true }])
  })

  it('describes itself in OpenAPI 3.1 and is ready', async () => {
    const { body } = await call('GET', '/openapi.json', { key: null })
    expect(body.openapi).toBe('3.1.0')
    expect(Object.keys(body.paths)).toContain('/v1/executions/{id}/events')
    expect((await call('GET', '/ready', { key: null })).status).toBe(200)
    const metrics = await fetch(`${gateway.url}/metrics`)
    expect(await metrics.text()).toContain('omium_gateway_request_seconds_count')
  })

  it('honours the revocation of a key within five seconds', async () => {
    const key = newApiKey()
    const [keyId] = await putTenants(env['OMIUM_DATABASE_URL'] ?? '', env, { tenant: 'ten_b', apiKey: key })
    expect((await call('GET', '/v1/executions', { key })).status).toBe(200)
    await pool.query("UPDATE identity.api_keys SET revoked_at = now() WHERE tenant = 'ten_b' AND id = $1", [keyId])
    await eventually(async () => expect((await call('GET', '/v1/executions', { key })).status).toBe(401), {
      timeoutMs: 6_000,
    })
  })
})

describe('people', () => {
  it('sign in here; tokens that this installation did not sign are nobody', async () => {
    const { keys } = (await (await fetch(`${gateway.url}/.well-known/jwks.json`)).json()) as { keys: object[] }
    expect(keys).toMatchObject([{ kty: 'OKP', alg: 'EdDSA' }])
    // the page is under the address that people use (OMIUM_URL), where the cookies belong
    const page = await fetch(`${gateway.url}/auth/sign-in`, { redirect: 'manual' })
    expect([page.status, page.headers.get('location')]).toEqual([307, 'http://localhost:8080/auth/sign-in'])
    const claims = Buffer.from(JSON.stringify({ sub: 'usr_a', sid: 'ses_a', tenant: 'ten_a' })).toString('base64url')
    const unsigned = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${claims}.`
    for (const headers of [{ authorization: `Bearer ${unsigned}` }, { cookie: `omium_access=${unsigned}` }])
      expect((await call('GET', '/v1/executions', { key: null, headers })).status).toBe(401)
    const foreign = { cookie: `omium_access=${unsigned}`, 'sec-fetch-site': 'cross-site' }
    expect((await call('POST', '/v1/executions', { key: null, headers: foreign, body: {} })).body.code).toBe(
      'origin_refused',
    )
  })
})
