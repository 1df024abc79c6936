import { createHmac } from 'node:crypto'
import { eventually, foundTenant, testPlatform, testStack } from '@omium/dev/testing'
import { connectKafka } from '@omium/log'
import { type ModelServer, startModelServer } from '@omium/model-server'
import { createPool, openLog, verify } from '@omium/projection-kit'
import { workflowsProjection } from '@omium/projection-workflows'
import { eventsTopic, tenantTopic, workflowContext } from '@omium/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Stage } from '../src/workflow-stage.ts'

/** Workflows, schedules and triggers on the whole product. */

let stage: Stage
let models: ModelServer
let otherKey: string

beforeAll(async () => {
  models = await startModelServer({ latencyMs: 1 })
  stage = new Stage(
    await testPlatform({
      OPENAI_BASE_URL: models.baseUrl,
      OPENAI_API_KEY: 'local',
      OMIUM_OWNER_SESSION_TIMEOUT_MS: '1500',
    }),
  )
  otherKey = await foundTenant(stage.stack.environment, 'ten_other')
  await stage.ready()
})
afterAll(async () => {
  await stage?.stack.stop()
  await models?.close()
})

const seconds = (text: string): number => Date.parse(text) / 1000

describe('a workflow', () => {
  it('is a draft, is published, runs, and keeps its version while it runs', async () => {
    const wait = { type: 'wait', signal: 'go' }
    const definition = (v: number) => ({
      name: 'pinned',
      nodes: { wait, said: { type: 'set', value: v, needs: ['wait'] } },
    })
    const created = await stage.call('POST', '/v1/workflows/pinned', { definition: definition(1) })
    expect(created).toMatchObject({ status: 201, body: { id: 'pinned', version: 1 } })
    expect(await stage.call('POST', '/v1/workflows/pinned/runs', {})).toMatchObject({
      status: 409,
      body: { code: 'workflow_unpublished' },
    })
    await stage.good('POST', '/v1/workflows/pinned/versions/1/publish')
    const first = await stage.run('pinned')
    expect(await stage.publish('pinned', definition(2).nodes)).toBe(2)
    const second = await stage.run('pinned')
    for (const id of [first, second]) await stage.good('POST', `/v1/executions/${id}/signals`, { name: 'go' })
    expect(await stage.ended(first)).toMatchObject({ status: 'completed', output: 1 })
    expect(await stage.ended(second)).toMatchObject({ status: 'completed', output: 2 })
    await eventually(async () => {
      const runs = await stage.runs('pinned')
      expect(runs.map(({ version, status }) => [version, status])).toEqual([
        [2, 'completed'],
        [1, 'completed'],
      ])
    })
    expect(await stage.good('GET', '/v1/workflows/pinned')).toMatchObject({
      publishedVersion: 2,
      activeRuns: 0,
      versions: [{ status: 'published' }, { status: 'published' }],
    })
    await stage.good('POST', '/v1/workflows/pinned/versions/1/deprecate', {})
    expect(await stage.call('POST', '/v1/workflows/pinned/runs', { version: 1 })).toMatchObject({ status: 409 })
  })

  it('runs once for one id, and not with other parameters', async () => {
    await stage.publish('once', { a: { type: 'set', value: '${parameters.n}' } })
    const id = await stage.run('once', { n: 1 }, { id: 'same' })
    expect(id).toBe('wf.once.same')
    expect(await stage.call('POST', '/v1/workflows/once/runs', { parameters: { n: 1 }, id: 'same' })).toMatchObject({
      status: 200,
      body: { deduplicated: true },
    })
    expect(await stage.call('POST', '/v1/workflows/once/runs', { parameters: { n: 2 }, id: 'same' })).toMatchObject({
      status: 409,
      body: { code: 'workflow_conflict' },
    })
    expect(await stage.ended(id)).toMatchObject({ output: 1 })
  })

  it('whose execution cannot be started is refused, and says why', async () => {
    await stage.good('POST', '/v1/executions', { agent: 'greeter', input: { names: ['Ada'] }, id: 'wf.once.taken' })
    await stage.run('once', { n: 1 }, { id: 'taken' })
    await eventually(async () => {
      const taken = (await stage.runs('once')).find(({ id }) => id === 'wf.once.taken')
      expect(taken).toMatchObject({ status: 'refused', end: { code: 'execution_conflict' } })
    })
  })

  it('is refused with every problem and its place', async () => {
    const definition = {
      name: 'bad',
      nodes: { a: { type: 'agent', agent: 'nobody' }, b: { type: 'set', value: '${nodes.aa}' } },
    }
    const { status, body } = await stage.call('POST', '/v1/workflows/bad', { definition, publish: true })
    expect([status, body.code]).toEqual([422, 'workflow_invalid'])
    expect(body.errors.map(({ path }: { path: string }) => path)).toEqual(['/nodes/a/agent', '/nodes/b/value'])
    expect(await stage.good('POST', '/v1/workflows/validate', { definition })).toMatchObject({ valid: false })
    expect(await stage.call('POST', '/v1/workflows/once/runs', { parameters: [] })).toMatchObject({ status: 422 })
  })

  it('is refused with a model or a tool that the platform does not know, and takes the arguments of the tools that it knows', async () => {
    const ask = (more: object) => ({
      name: 'asks',
      nodes: { a: { type: 'model', model: 'gpt-4o', prompt: 'x', ...more } },
    })
    const problems = async (more: object) =>
      (await stage.good('POST', '/v1/workflows/validate', { definition: ask(more) })).problems.map(
        ({ pointer, code }: { pointer: string; code: string }) => `${pointer} ${code}`,
      )
    // the stack's only provider takes every name
    expect(await problems({ model: 'gpt-whatever' })).toEqual([])
    expect(await problems({ tools: [{ agent: 'greter' }] })).toEqual(['/nodes/a/tools/0/agent unknown_agent'])
    const definition = ask({ tools: [{ agent: 'greeter' }] })
    await stage.good('POST', '/v1/workflows/asks', { definition, publish: true })
    const stored = await stage.good('GET', '/v1/workflows/asks/versions/1')
    expect(stored.definition.nodes.a.tools).toMatchObject([{ agent: 'greeter', parameters: { type: 'object' } }])
  })

  it('calls another in the version that was published when it was made', async () => {
    await stage.publish('inner', { a: { type: 'set', value: 'one' } })
    await stage.publish('outer', { c: { type: 'workflow', workflow: 'inner' } })
    await stage.publish('inner', { a: { type: 'set', value: 'two' } })
    expect(await stage.ended(await stage.run('outer'))).toMatchObject({ output: 'one' })
  })

  it('belongs to its tenant', async () => {
    await stage.good('PUT', '/v1/schedules/mine', { workflow: 'once', cron: '0 0 1 1 *' })
    for (const path of [
      '/v1/workflows/once',
      '/v1/workflows/once/runs',
      '/v1/workflows/once/versions/1',
      '/v1/schedules/mine',
    ])
      expect(await stage.call('GET', path, undefined, otherKey)).toMatchObject({ status: 404 })
    for (const path of ['/v1/workflows', '/v1/schedules', '/v1/triggers'])
      expect(await stage.call('GET', path, undefined, otherKey)).toMatchObject({ status: 200, body: { items: [] } })
    const trigger = { workflow: 'once', source: { type: 'webhook' } }
    expect(await stage.call('PUT', '/v1/triggers/x', trigger, otherKey)).toMatchObject({ status: 404 })
    expect(await stage.call('DELETE', '/v1/workflows/once', undefined, otherKey)).toMatchObject({ status: 404 })
  })
})

describe('a schedule', () => {
  it('fires each moment once, also over kill -9 of the manager, and catches up', async () => {
    await stage.publish('tick', { a: { type: 'set', value: 'tick' } })
    const spec = { workflow: 'tick', cron: '* * * * * *', overlap: 'allow', catchUp: { policy: 'all' } }
    await stage.good('PUT', '/v1/schedules/every', spec)
    const fired = async (n: number) =>
      eventually(async () => (await stage.firings('every')).length >= n, { timeoutMs: 40_000, intervalMs: 100 })
    await fired(3)
    const pid = stage.pid('workflow-manager')
    process.kill(pid, 'SIGKILL')
    await eventually(() => stage.pid('workflow-manager') !== pid, { timeoutMs: 30_000 })
    await fired(8)
    await stage.good('POST', '/v1/schedules/every/pause')
    const runs = await eventually(
      async () => {
        const found = await stage.runs('tick')
        expect(found).toHaveLength((await stage.firings('every')).length)
        return found
      },
      { timeoutMs: 40_000, intervalMs: 200 },
    )
    const nominal = runs.map(({ source }: { source: { nominalAt: number } }) => source.nominalAt / 1000)
    const last = nominal[0] as number
    expect(nominal.length).toBeGreaterThanOrEqual(8)
    // newest first, one for each second, none missing
    expect(nominal).toEqual(nominal.map((_: number, i: number) => last - i))
    for (const { id } of runs) expect(await stage.ended(id)).toMatchObject({ status: 'completed', output: 'tick' })
  })

  it.each([
    ['skip', 2],
    ['queue', 2],
    ['cancel_previous', 2],
  ])('with overlap %s never has two runs at once', async (overlap, least) => {
    const workflow = `slow-${overlap}`
    await stage.publish(workflow, { rest: { type: 'sleep', durationMs: 2200 } })
    await stage.good('PUT', `/v1/schedules/${overlap}`, { workflow, cron: '* * * * * *', overlap })
    // a busy machine may be so late with the next moment that a run comes to its own end
    const counts = ({ status, endedAt }: { status: string; endedAt?: string }) =>
      overlap === 'cancel_previous' ? status === 'cancelled' : Boolean(endedAt)
    const ended = async () => (await stage.runs(workflow)).filter(counts)
    await eventually(async () => (await ended()).length >= least, { timeoutMs: 40_000, intervalMs: 200 })
    await stage.good('POST', `/v1/schedules/${overlap}/pause`)
    const runs = [...(await stage.runs(workflow))].reverse()
    const firings = await stage.firings(overlap)
    await stage.good('DELETE', `/v1/schedules/${overlap}`)
    if (overlap === 'cancel_previous') return
    for (const [i, run] of runs.entries()) {
      const next = runs[i + 1]
      if (next) expect(Date.parse(next.requestedAt)).toBeGreaterThanOrEqual(Date.parse(run.endedAt))
    }
    if (overlap === 'skip') expect(firings.some(({ reason }) => reason === 'overlap')).toBe(true)
    if (overlap === 'queue') {
      const fired = firings.filter(({ outcome }) => outcome === 'fired').map(({ nominalAt }) => seconds(nominalAt))
      expect(fired).toEqual(fired.map((_, i) => (fired[0] as number) - i))
    }
  })

  it('is refused when its cron, zone or parameters do not fit; says when it fires next', async () => {
    const put = (more: object) =>
      stage.call('PUT', '/v1/schedules/odd', { workflow: 'tick', cron: '0 9 * * 1', ...more })
    expect(await put({ cron: '61 * * * *' })).toMatchObject({ status: 422, body: { code: 'schedule_invalid' } })
    expect(await put({ timezone: 'Mars/X' })).toMatchObject({ status: 422, body: { code: 'schedule_invalid' } })
    expect(await put({ workflow: 'nothing' })).toMatchObject({ status: 404, body: { code: 'workflow_unknown' } })
    await put({ timezone: 'Europe/Berlin' })
    const { nextAt } = await stage.good('GET', '/v1/schedules/odd')
    const local = new Intl.DateTimeFormat('en', {
      timeZone: 'Europe/Berlin',
      weekday: 'short',
      hour: 'numeric',
      hour12: false,
    })
    expect(local.format(new Date(nextAt))).toBe('Mon, 09')
  })
})

describe('a trigger', () => {
  const runsOf = (workflow: string, n: number) =>
    eventually(
      async () => {
        const runs = await stage.runs(workflow)
        expect(runs).toHaveLength(n)
        return runs
      },
      { timeoutMs: 30_000, intervalMs: 100 },
    )

  it('of a webhook takes signed events, each once', async () => {
    await stage.publish('hooked', { a: { type: 'set', value: '${parameters.order}' } })
    const made = await stage.good('PUT', '/v1/triggers/orders', {
      workflow: 'hooked',
      source: { type: 'webhook' },
      filter: 'event.body.kind == "order"',
      parameters: { order: '${event.body.id}' },
    })
    const deliver = async (value: object, eventId: string, secret = made.secret) => {
      const body = JSON.stringify(value)
      const now = Math.floor(Date.now() / 1000)
      const signature = createHmac('sha256', secret).update(`${now},${eventId},${body}`).digest('hex')
      return fetch(`${stage.url}${made.url}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-omium-signature': `t=${now},v1=${signature}`,
          'x-omium-event-id': eventId,
        },
        body,
      })
    }
    expect((await deliver({ kind: 'order', id: 7 }, 'e1')).status).toBe(202)
    expect((await deliver({ kind: 'order', id: 7 }, 'e1')).status).toBe(202)
    expect((await deliver({ kind: 'other', id: 8 }, 'e2')).status).toBe(202)
    expect((await deliver({ kind: 'order', id: 9 }, 'e3', 'wrong')).status).toBe(401)
    const [run] = await runsOf('hooked', 1)
    expect(await stage.ended(run.id)).toMatchObject({ output: 7 })
    await eventually(async () =>
      expect(await stage.good('GET', '/v1/triggers/orders')).toMatchObject({ fired: 1, ignored: 1 }),
    )
    expect(JSON.stringify(await stage.good('GET', '/v1/triggers/orders'))).not.toContain('ecret')
  })

  it('of another workflow starts when that ends', async () => {
    await stage.publish('before', { a: { type: 'set', value: { n: 41 } } })
    await stage.publish('after', { a: { type: 'set', value: '${parameters.output.n + 1}' } })
    await stage.good('PUT', '/v1/triggers/chain', {
      workflow: 'after',
      source: { type: 'workflow', workflow: 'before', on: ['completed'] },
    })
    await stage.run('before')
    const [run] = await runsOf('after', 1)
    expect(await stage.ended(run.id)).toMatchObject({ output: 42 })
  })

  it('of a topic starts for each event that the filter lets through, over kill -9 of the manager', async () => {
    const topic = tenantTopic(stage.stack.environment['OMIUM_TOPIC_PREFIX'] ?? '', 'ten_local', 'things.made')
    const transport = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'spec' })
    try {
      await stage.publish('things', { a: { type: 'set', value: '${parameters.n}' } })
      await stage.good('PUT', '/v1/triggers/things', {
        workflow: 'things',
        source: { type: 'topic', topic: 'things.made' },
        filter: 'event.value.n % 2 == 0',
        parameters: { n: '${event.value.n}' },
      })
      // what comes first comes with the topic, after the trigger
      await transport.ensureTopics([{ topic, partitions: 2, replication: 1 }])
      const producer = await transport.openProducer()
      const send = async (n: number) => {
        const record = { key: null, headers: {}, value: Buffer.from(JSON.stringify({ n })) }
        await producer.append([{ topic, partition: n % 2, records: [record] }])
      }
      await send(0)
      await eventually(async () => (await stage.runs('things')).length > 0, { timeoutMs: 30_000 })
      const pid = stage.pid('workflow-manager')
      process.kill(pid, 'SIGKILL')
      for (let n = 1; n <= 6; n++) await send(n)
      const outputs = await eventually(
        async () => {
          const runs = await stage.runs('things')
          const ends = await Promise.all(runs.map(({ id }) => stage.ended(id)))
          const found = ends.map(({ output }) => output as number)
          return found.length >= 4 && found.sort()
        },
        { timeoutMs: 40_000, intervalMs: 200 },
      )
      expect(outputs).toEqual([0, 2, 4, 6])
      await producer.close()
    } finally {
      await transport.close()
    }
  })
})

describe('topics', () => {
  it('are those of a tenant alone, whatever it is called and whatever it asks for', async () => {
    const prefix = stage.stack.environment['OMIUM_TOPIC_PREFIX'] ?? ''
    // called like the prefix of the platform's own topics
    const key = await foundTenant(stage.stack.environment, prefix)
    const as = async (method: string, path: string, body?: object) => {
      const reply = await stage.call(method, path, body, key)
      expect(reply.status).toBeLessThan(300)
      return reply.body
    }
    const definition = { name: 'spy', nodes: { a: { type: 'set', value: 1 } } }
    await as('POST', '/v1/workflows/spy', { definition, publish: true })
    const foreign = tenantTopic(prefix, 'ten_local', 'secrets.made')
    // all but its own are there all the time, or never
    const topics = ['workflow.events', eventsTopic(prefix, 'execution'), foreign, 'ten_local.secrets.made']
    for (const [i, topic] of topics.entries())
      await as('PUT', `/v1/triggers/spy${i}`, { workflow: 'spy', source: { type: 'topic', topic } })
    const own = tenantTopic(prefix, prefix, 'workflow.events')
    const transport = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'spec' })
    try {
      await transport.ensureTopics([own, foreign].map((topic) => ({ topic, partitions: 1, replication: 1 })))
      const producer = await transport.openProducer()
      const records = [{ key: null, headers: {}, value: Buffer.from('1') }]
      for (const topic of [foreign, own, own]) await producer.append([{ topic, partition: 0, records }])
      await producer.close()
      // its own topic is followed by then, so the others would have been, too
      await eventually(async () => expect((await as('GET', '/v1/triggers/spy0')).fired).toBe(2), { timeoutMs: 40_000 })
    } finally {
      await transport.close()
    }
    for (const i of [1, 2, 3]) expect(await as('GET', `/v1/triggers/spy${i}`)).toMatchObject({ fired: 0, ignored: 0 })
  })
})

describe('the gallery', () => {
  const templates = ['research', 'support-triage', 'code-review', 'data-extraction', 'debate']

  it.each(templates)('%s can be created and run as it is, with the local model server', async (id) => {
    const { items } = await stage.good('GET', '/v1/workflow-templates')
    const { definition, example } = items.find((template: { id: string }) => template.id === id)
    await stage.good('POST', `/v1/workflows/my-${id}`, { definition, publish: true })
    const ended = await stage.ended(await stage.run(`my-${id}`, { ...example, model: 'omium-local-scripted' }))
    // what it has to look like is in the definition's `outputSchema`
    expect(ended).toMatchObject({ status: 'completed', output: expect.any(Object) })
  })
})

it('the read models are what the log says', async () => {
  const { environment } = stage.stack
  const log = await openLog(environment, workflowContext, 'workflows-spec', () => undefined)
  const pool = createPool(environment['OMIUM_DATABASE_URL'] ?? '')
  try {
    expect(await verify({ definition: workflowsProjection, log, pool })).toMatchObject({ equal: true })
  } finally {
    await pool.end()
    await log.close()
  }
})
