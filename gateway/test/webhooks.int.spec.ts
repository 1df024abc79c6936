import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { eventually, type ServiceHandle, spawnService } from '@omium/dev/testing'
import { webhooksProjection } from '@omium/projection-webhooks'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayWorld, keyB, startGatewayWorld } from './gateway-world.ts'

/**
 * Outgoing webhooks with everything real: gateway, log, read model, a webhooks process that is killed, and a receiver that verifies
 * what it gets with the library of the standard. Only runs are scripted.
 */
const patience = { timeoutMs: 40_000 }
let world: GatewayWorld
let consumer: ServiceHandle

interface Received {
  readonly path: string
  readonly id: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}
const received: Received[] = []
const at = (path: string) => received.filter((one) => one.path === path)
/** what a receiver answers, by path; 200 otherwise */
const answers: Record<string, (response: ServerResponse, earlier: number) => unknown> = {}
const receiver = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const path = request.url ?? ''
    const { headers } = request
    const earlier = at(path).length
    received.push({ path, id: String(headers['webhook-id']), headers, body: Buffer.concat(chunks).toString() })
    const answer = answers[path]
    if (answer) answer(response, earlier)
    else response.end('thanks')
  })
})
/** what nothing may reach */
let reached = 0
const trap = createTcpServer((socket) => {
  reached++
  socket.destroy()
})
const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port
const urlOf = (path: string) => `http://127.0.0.2:${portOf(receiver)}${path}`

const startConsumer = (more: Record<string, string> = {}) =>
  spawnService(
    'consumers/webhooks/src/main.ts',
    {
      ...world.env,
      OMIUM_WEBHOOKS_PORT: '0',
      OMIUM_OWNER_SESSION_TIMEOUT_MS: '1500',
      OMIUM_WEBHOOK_RETRIES_MS: '300,300',
      // receivers answer out of a process that is busy with everything else here
      OMIUM_WEBHOOK_TIMEOUT_MS: '4000',
      ...more,
    },
    { readyLine: /"msg":"ready"/, readyTimeoutMs: 90_000 },
  )

beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.2', resolve))
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve))
  world = await startGatewayWorld({ env: { OMIUM_EGRESS_ALLOW: '127.0.0.2', OMIUM_EGRESS_HTTP: 'true' } })
  await world.project(webhooksProjection, 'webhook')
  consumer = await startConsumer()
}, 240_000)

afterAll(async () => {
  await consumer?.stop()
  await world?.close()
  receiver.closeAllConnections()
  receiver.close()
  trap.close()
})

const create = async (path: string, more: object = {}) => {
  const answer = await world.call('POST', '/v1/webhooks', {
    body: { url: urlOf(path), types: ['execution.completed', 'execution.failed'], ...more },
  })
  expect(answer).toMatchObject({ status: 201, body: { secret: expect.stringMatching(/^whsec_/) } })
  return answer.body as { id: string; secret: string }
}
const complete = async (id: string) => {
  const started = await world.call('POST', '/v1/executions', { body: { agent: 'writer', input: { topic: 'abc' }, id } })
  expect(started.status).toBeLessThan(300)
  await world.engine.write(
    'ten_a',
    id,
    { type: 'ExecutionStarted', data: { attempt: 1, workerId: 'w' } },
    { type: 'ExecutionCompleted', data: { attempt: 1, output: { inline: 'done' } } },
  )
}
const deliveriesOf = async (id: string, query = '') =>
  (await world.call('GET', `/v1/webhooks/${id}/deliveries${query}`)).body.items
const settled = (id: string) =>
  eventually(async () => {
    const deliveries = await deliveriesOf(id)
    expect(deliveries).toHaveLength(1)
    expect(deliveries[0].status).not.toBe('pending')
    return deliveries[0]
  }, patience)
const runOf = ({ body }: Received): string => JSON.parse(body).data.executionId

describe('outgoing webhooks', () => {
  it('tell what happens from the answer on, signed with every secret in force', async () => {
    const { id, secret } = await create('/ok')
    await complete('run-1')
    await eventually(() => expect(at('/ok')).toHaveLength(1), patience)
    const [first] = at('/ok') as [Received]
    expect(new Webhook(secret).verify(first.body, first.headers as Record<string, string>)).toMatchObject({
      type: 'execution.completed',
      version: 1,
      tenant: 'ten_a',
      data: { executionId: 'run-1', agent: 'writer' },
    })
    expect(first.body).not.toContain('done')

    const rotated = await world.call('POST', `/v1/webhooks/${id}/rotate`, { body: { overlapMs: 60_000 } })
    expect(rotated).toMatchObject({ status: 201, body: { secret: expect.not.stringContaining(secret) } })
    await complete('run-2')
    await eventually(() => expect(at('/ok')).toHaveLength(2), patience)
    const second = at('/ok')[1] as Received
    const both = [secret, rotated.body.secret as string]
    for (const one of both) new Webhook(one).verify(second.body, second.headers as Record<string, string>)

    await world.call('POST', `/v1/webhooks/${id}/rotate`, { body: { overlapMs: 0 } })
    const test = await world.call('POST', `/v1/webhooks/${id}/test`, { body: {} })
    expect(test.status).toBe(202)
    await eventually(() => expect(at('/ok').at(-1)?.id).toBe(test.body.delivery), patience)
    const third = at('/ok').at(-1) as Received
    expect(String(third.headers['webhook-signature']).split(' ')).toHaveLength(2)
    expect(() => new Webhook(rotated.body.secret).verify(third.body, third.headers as Record<string, string>)).toThrow()
    await world.call('DELETE', `/v1/webhooks/${id}`)
  })

  it('are changed once for one idempotency key, and another method under it is no repetition', async () => {
    const { id } = await create('/keyed')
    const ask = (method: string, key: string, body?: object) =>
      world.call(method, `/v1/webhooks/${id}`, { headers: { 'idempotency-key': key }, ...(body && { body }) })
    expect((await ask('PATCH', 'once', { description: 'a' })).body.deduplicated).toBe(false)
    expect((await ask('PATCH', 'once', { description: 'a' })).body.deduplicated).toBe(true)
    for (const [method, body] of [['PATCH', { description: 'b' }], ['DELETE']] as const)
      expect(await ask(method, 'once', body)).toMatchObject({ status: 409, body: { code: 'idempotency_conflict' } })
    expect((await ask('DELETE', 'gone')).body.deduplicated).toBe(false)
    expect((await ask('DELETE', 'gone')).body.deduplicated).toBe(true)
    expect((await world.call('GET', `/v1/webhooks/${id}`)).status).toBe(404)
  })

  it('retry, give up, disable, and bound what receivers do; one holds up no other', async () => {
    answers['/flaky'] = (response, earlier) => response.writeHead(earlier < 2 ? 500 : 200).end()
    answers['/dead'] = (response) => response.writeHead(500).end('no')
    answers['/gone'] = (response) => response.writeHead(410).end()
    answers['/slow'] = () => undefined
    answers['/big'] = (response) => response.end('x'.repeat(1_000_000))
    answers['/redirect'] = (response) =>
      response.writeHead(302, { location: `http://127.0.0.1:${portOf(trap)}/` }).end()
    answers['/later'] = (response, earlier) =>
      earlier === 0 ? response.writeHead(503, { 'retry-after': '2' }).end() : response.end()
    const paths = ['/flaky', '/dead', '/gone', '/slow', '/big', '/redirect', '/later']
    const ids = Object.fromEntries(
      await Promise.all(paths.map(async (path) => [path, (await create(path)).id] as const)),
    )
    // a name is judged when it is called
    const inside = await world.call('POST', '/v1/webhooks', {
      body: { url: `http://localhost:${portOf(trap)}/`, types: ['execution.completed'] },
    })
    await complete('run-3')

    const of = (path: string) => settled(ids[path] as string)
    expect(await of('/flaky')).toMatchObject({ status: 'delivered', attempts: 3, lastStatus: 200 })
    expect(await of('/dead')).toMatchObject({ status: 'dead', attempts: 3, why: 'it answered 500' })
    expect(await of('/gone')).toMatchObject({ status: 'dead', attempts: 1, lastStatus: 410 })
    expect(await of('/big')).toMatchObject({ status: 'delivered', attempts: 1 })
    expect(await of('/redirect')).toMatchObject({ status: 'dead', lastStatus: 302 })
    expect(await of('/later')).toMatchObject({ status: 'delivered', attempts: 2 })
    expect(await of('/slow')).toMatchObject({ status: 'dead', why: expect.stringContaining('within 4000 ms') })
    expect(await settled(inside.body.id)).toMatchObject({ status: 'dead', why: 'localhost: not a public address' })
    expect(reached).toBe(0)

    expect((await world.call('GET', `/v1/webhooks/${ids['/gone']}`)).body).toMatchObject({
      status: 'disabled',
      disabled: { reason: 'gone' },
    })
    const detail = async (path: string) => {
      const [{ id }] = await deliveriesOf(ids[path] as string)
      return (await world.call('GET', `/v1/webhooks/${ids[path]}/deliveries/${id}`)).body
    }
    expect((await detail('/big')).history[0].answer).toBe('x'.repeat(1000))
    const [early, late] = (await detail('/later')).history
    expect(Date.parse(late.at) - Date.parse(early.at)).toBeGreaterThanOrEqual(2000)
    expect((await detail('/dead')).history.map(({ result }: { result: string }) => result)).toEqual([
      'retrying',
      'retrying',
      'dead',
    ])
    // one that is dead is delivered again, under its id
    delete answers['/dead']
    const [dead] = await deliveriesOf(ids['/dead'] as string, '?status=dead')
    const again = await world.call('POST', `/v1/webhooks/${ids['/dead']}/deliveries/${dead.id}/redeliver`, { body: {} })
    expect(again).toMatchObject({ status: 202, body: { delivery: dead.id } })
    await eventually(async () => {
      expect((await deliveriesOf(ids['/dead'] as string))[0]).toMatchObject({ status: 'delivered', attempts: 4 })
    }, patience)
    expect(new Set(at('/dead').map(({ id }) => id))).toEqual(new Set([dead.id]))
    for (const id of [...Object.values(ids), inside.body.id]) await world.call('DELETE', `/v1/webhooks/${id}`)
  }, 120_000)

  it('lose nothing when the process is killed between any two steps, and what happens meanwhile is told later', async () => {
    // nobody gives up what is not answered before the kill
    await consumer.stop()
    consumer = await startConsumer({ OMIUM_WEBHOOK_TIMEOUT_MS: '60000' })
    const { id } = await create('/kill')
    const runs = Array.from({ length: 12 }, (_, n) => `kill-${n}`)
    answers['/kill'] = () => undefined
    for (const run of runs.slice(0, 6)) await complete(run)
    // some were sent and have no answer, some may not even be asked for
    await eventually(() => expect(at('/kill').length).toBeGreaterThan(0), patience)
    await consumer.kill()
    for (const run of runs.slice(6)) await complete(run)
    delete answers['/kill']
    consumer = await startConsumer()
    await eventually(() => expect(new Set(at('/kill').map(runOf))).toEqual(new Set(runs)), patience)
    await eventually(async () => {
      expect(await deliveriesOf(id, '?status=delivered')).toHaveLength(runs.length)
    }, patience)
    // repetitions are known by their ids
    expect(new Set(at('/kill').map((one) => one.id)).size).toBe(runs.length)

    // a second one, made now, is told of the past by a replay only
    const late = await create('/late')
    const { body: view } = await world.call('GET', `/v1/webhooks/${id}`)
    const range = { from: view.createdAt, types: ['execution.completed'] }
    const replays = [id, late.id].map((one) => world.call('POST', `/v1/webhooks/${one}/replay`, { body: range }))
    for (const replay of await Promise.all(replays)) expect(replay.status).toBe(202)
    await eventually(() => expect(new Set(at('/late').map(runOf))).toEqual(new Set(runs)), patience)
    await eventually(async () => {
      const { items } = (await world.call('GET', `/v1/webhooks/${late.id}/replays`)).body
      expect(items).toMatchObject([{ status: 'finished', found: runs.length }])
    }, patience)
    const before = new Set(at('/kill').map((one) => one.id))
    await eventually(() => expect(at('/kill').length).toBeGreaterThanOrEqual(2 * runs.length), patience)
    expect(new Set(at('/kill').map((one) => one.id))).toEqual(before)
  }, 120_000)

  it('are their tenant’s own, and go to no address inside', async () => {
    const { id } = await create('/own')
    const [delivery] = ['msg_1']
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['PATCH', '', { description: 'mine' }],
      ['DELETE', '', undefined],
      ['POST', '/rotate', {}],
      ['POST', '/test', {}],
      ['POST', '/enable', {}],
      ['POST', '/replay', { from: '2026-01-01T00:00:00Z' }],
      ['GET', '/deliveries', undefined],
      ['GET', `/deliveries/${delivery}`, undefined],
      ['POST', `/deliveries/${delivery}/redeliver`, {}],
      ['GET', '/replays', undefined],
    ] as const) {
      const answer = await world.call(method, `/v1/webhooks/${id}${path}`, { key: keyB, body })
      expect([method, path, answer.status, answer.body.code]).toEqual([method, path, 404, 'webhook_unknown'])
    }
    expect((await world.call('GET', '/v1/webhooks', { key: keyB })).body.items).toEqual([])
    const { items } = (await world.call('GET', '/v1/webhooks?limit=200')).body
    expect(items.map((one: { id: string }) => one.id)).toContain(id)
    expect(JSON.stringify(items)).not.toContain('whsec')

    for (const url of [
      'http://127.0.0.1/',
      'https://169.254.169.254/',
      'https://2130706433/',
      'https://u:p@a.example/',
    ])
      expect(await world.call('POST', '/v1/webhooks', { body: { url, types: ['execution.failed'] } })).toMatchObject({
        status: 422,
        body: { code: 'address_refused' },
      })
    const changed = await world.call('PATCH', `/v1/webhooks/${id}`, { body: { url: 'http://10.0.0.1/' } })
    expect(changed).toMatchObject({ status: 422, body: { code: 'address_refused' } })
    const patch = { types: ['execution.waiting'], filter: { agents: ['writer'] }, description: 'approvals' }
    expect((await world.call('PATCH', `/v1/webhooks/${id}`, { body: patch })).status).toBe(200)
    expect((await world.call('GET', `/v1/webhooks/${id}`)).body).toMatchObject({ ...patch, status: 'enabled' })
    await world.call('POST', `/v1/webhooks/${id}/disable`, { body: {} })
    expect(await world.call('POST', `/v1/webhooks/${id}/test`, { body: {} })).toMatchObject({
      status: 409,
      body: { code: 'webhook_conflict' },
    })
    expect(consumer.output()).not.toContain('whsec')
  })

  it('are forgotten when they ended long ago, and secrets with their endpoint', async () => {
    await consumer.stop()
    consumer = await startConsumer({ OMIUM_WEBHOOK_KEEP_MS: '1000', OMIUM_WEBHOOK_TIMEOUT_MS: '60000' })
    const { id } = await create('/old')
    // the first is never answered: it waits, and stays
    answers['/old'] = (response, earlier) => (earlier === 0 ? undefined : response.end())
    await complete('old-1')
    await eventually(() => expect(at('/old')).toHaveLength(1), patience)
    await complete('old-2')
    await eventually(() => expect(at('/old')).toHaveLength(2), patience)
    const range = { from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:00:01Z' }
    expect((await world.call('POST', `/v1/webhooks/${id}/replay`, { body: range })).status).toBe(202)
    await eventually(async () => {
      const waiting = at('/old').find((one) => runOf(one) === 'old-1')?.id
      expect(await deliveriesOf(id)).toMatchObject([{ id: waiting, status: 'pending' }])
      expect((await world.call('GET', `/v1/webhooks/${id}/replays`)).body.items).toEqual([])
    }, patience)
    const rowsOf = async (sql: string, value: string) => (await world.pool.query(sql, [value])).rows
    expect(await rowsOf('SELECT 1 FROM webhooks.attempts WHERE endpoint_id = $1', id)).toEqual([])

    const secrets = () => rowsOf('SELECT id FROM webhook_secrets WHERE owner = $1', `webhook_endpoint/${id}`)
    expect(await secrets()).toHaveLength(1)
    expect((await world.call('DELETE', `/v1/webhooks/${id}`)).status).toBe(200)
    await eventually(async () => expect(await secrets()).toEqual([]), patience)
  }, 120_000)
})
