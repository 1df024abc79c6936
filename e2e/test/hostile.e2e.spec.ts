import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  eventually,
  type ServiceHandle,
  spawnService,
  type TenantOfPlatform,
  tenantOfPlatform,
} from '@omium/dev/testing'
import { agent, type Client, omium, type Worker, worker } from '@omium/sdk'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'

/** The real engine and the real SDK against agents, workers and values that mean them ill. */

const echo = agent({
  id: 'echo',
  input: z.unknown(),
  run: async (input, ctx) => ctx.step('echo', () => input, { input }),
})
const child = agent({
  id: 'child-with-budget',
  input: z.null(),
  budget: { maxMicroCredits: 5 },
  run: async (_, ctx) => ctx.sleep('1h'),
})
const parent = agent({ id: 'parent', input: z.null(), run: async (_, ctx) => ctx.call(child, null) })

let home: string
let workLog: string
let platform: TenantOfPlatform
let client: Client
let host: Worker
const hostile = new Set<ServiceHandle>()

const work = (): string[] => (existsSync(workLog) ? readFileSync(workLog, 'utf8').split('\n').filter(Boolean) : [])
const startHostile = async (): Promise<ServiceHandle> => {
  const handle = await spawnService(
    'e2e/src/hostile-worker.ts',
    { ...platform.environment, OMIUM_WORK_LOG: workLog },
    { readyLine: /worker started/ },
  )
  hostile.add(handle)
  return handle
}

const isOffered = (agentId: string) =>
  eventually(async () => expect((await client.agents()).map((one) => one.agent)).toContain(agentId), {
    timeoutMs: 30_000,
  })

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'omium-hostile-'))
  workLog = join(home, 'work.log')
  platform = await tenantOfPlatform()
  const { url, apiKey } = platform
  const connection = { url, apiKey }
  client = omium(connection)
  host = worker({ agents: [echo, parent, child], ...connection, signals: false })
  await host.start()
  await isOffered('echo')
})
afterAll(async () => {
  await Promise.all([...hostile].map((one) => one.kill()))
  await host?.stop()
  rmSync(home, { recursive: true, force: true })
})

test.each([
  ['100 KiB', 'x'.repeat(100 * 1024)],
  ['3 MiB of three-byte characters', '€'.repeat(1024 * 1024)],
  ['nearly 10 MiB', 'x'.repeat(10 * 1024 * 1024 - 1000)],
  ['U+0000, lone surrogates, emoji', { text: 'a\u0000b \ud800 \udfff 👩‍🚀 \u2028', '\u0000key': [''] }],
  ['200 levels', JSON.parse(`${'['.repeat(200)}1${']'.repeat(200)}`)],
  ['strange numbers', [0, 1e308, 5e-324, 2 ** 53, -1]],
  ['keys of the language', JSON.parse('{"__proto__":{"a":1},"constructor":1,"toString":null}')],
])('a value of %s comes back as it was', async (_, value) => {
  const run = await client.start(echo, value)
  expect(JSON.stringify(await run.result({ timeoutMs: 30_000 }))).toBe(JSON.stringify(value))
  expect(JSON.stringify((await run.steps())[0]?.output)).toBe(JSON.stringify(value))
})

test.each([
  ['the budget of its agent', undefined, 5],
  ['what its parent has left, when that is less', 3, 3],
])('a child runs under %s', async (_, given, granted) => {
  const options = given === undefined ? {} : { options: { budgetMicroCredits: given } }
  const run = await client.start(parent, null, options)
  const kid = await eventually(
    async () => {
      for await (const one of client.list({ parent: run.id })) return one
      throw new Error('no child yet')
    },
    { timeoutMs: 30_000 },
  )
  expect(kid.options).toMatchObject({ budgetMicroCredits: granted })
  await run.cancel()
  await eventually(async () => expect((await client.get(kid.id)).status).toBe('cancelled'), { timeoutMs: 30_000 })
})

test('a worker that stands still past its lease makes no effect twice, and its late result is refused', async () => {
  const first = await startHostile()
  await isOffered('effect')
  const run = await client.start('effect', null)
  await eventually(() => expect(work()).toContainEqual(expect.stringMatching(/^pay idem_/)), { timeoutMs: 30_000 })
  first.pause()
  const second = await startHostile()
  expect(await run.result({ timeoutMs: 30_000 })).toEqual({ paid: 'was paid', attempt: 2 })
  first.resume()
  await eventually(() => expect(work()).toContain('aborted'), { timeoutMs: 30_000 })
  const [, , key] = [...work()][1]?.match(/^(pay) (.*)$/) ?? []
  expect(work()).toEqual(['before', `pay ${key}`, `reconcile ${key}`, 'aborted'])
  const events: { type: string; data: unknown }[] = []
  for await (const event of run.events()) events.push(event)
  expect(events.find(({ type }) => type === 'StepStarted')?.data).toMatchObject({ intent: { idempotencyKey: key } })
  expect(events.filter(({ type }) => type === 'StepOutcomeUnknown')).toHaveLength(1)
  await first.kill()
  await second.kill()
})

test('an agent that ends its process is given up in the end, while other runs go on', async () => {
  let over = false
  const keepWorking = (async () => {
    while (!over) {
      const handle = await startHostile().catch(() => undefined)
      await Promise.race([handle?.exited, eventually(() => expect(over).toBe(true), { timeoutMs: 120_000 })])
    }
  })()
  await isOffered('poison')
  const poison = await client.start('poison', null)
  const neighbours = await Promise.all([1, 2, 3].map((n) => client.start('patient', n)))
  const ended = await poison.ended({ timeoutMs: 120_000 })
  expect(ended).toMatchObject({ status: 'failed', attempt: 11, error: { code: 'attempts_exhausted' } })
  expect(await Promise.all(neighbours.map((run) => run.result({ timeoutMs: 30_000 })))).toEqual([1, 2, 3])
  over = true
  await keepWorking
})
