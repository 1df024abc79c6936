import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually, type TenantOfPlatform, tenantOfPlatform } from '@omium/dev/testing'
import { type ChatRequest, type Client, omium, type RunHandle, type Worker, worker } from '@omium/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { curious, helper, letter, mails, moody, timesRun } from './rewind-agents.ts'

/** Going back, starting over and comparing, on the whole platform: gateway, engine, read model and a worker. */

const asked: ChatRequest[] = []
let home: string
let platform: TenantOfPlatform
let host: Worker
let client: Client

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'omium-rewind-'))
  platform = await tenantOfPlatform()
  const { url, apiKey } = platform
  const connection = { url, apiKey }
  client = omium(connection)
  host = worker({
    agents: [letter, helper, curious, moody],
    ...connection,
    signals: false,
    logger: pino({ level: 'warn' }),
    llm: {
      complete: async (request) => {
        asked.push(request)
        const last = request.messages.at(-1)?.content
        const content = `${request.model} says ${typeof last === 'string' ? last : ''}`
        return {
          message: { role: 'assistant', content },
          finishReason: 'stop',
          model: request.model,
          inputTokens: 100,
          outputTokens: 10,
        }
      },
      prices: { version: 'spec', models: { large: { input: 3, output: 10 }, small: { input: 1, output: 2 } } },
    },
  })
  await host.start()
  await eventually(async () => (await client.agents()).some((one) => one.agent === 'rw-moody'), { timeoutMs: 30_000 })
})

afterAll(async () => {
  await host?.drain()
  await host?.stop()
  rmSync(home, { recursive: true, force: true })
})

const statusOf = (run: RunHandle<unknown>, status: string) =>
  eventually(async () => expect((await run.get()).status).toBe(status), { timeoutMs: 30_000 })
const settled = (run: RunHandle<unknown>, path: string, of = 'completed') =>
  eventually(
    async () => expect((await run.steps()).find((step) => step.path === path && !step.superseded)?.status).toBe(of),
    { timeoutMs: 30_000 },
  )

test('a running run is rolled back: what is kept is not made again, what is behind is, with another key', async () => {
  const run = await client.start(letter, { topic: 'logs', hold: true })
  await run.signal('go', 'first')
  await settled(run, 'mail#1')
  const [firstKey] = mails.splice(0)

  const preview = await run.previewRollBack('search#1')
  expect(preview).toMatchObject({
    toPath: 'search#1',
    kept: { steps: 1, costMicroCredits: 0 },
    again: { steps: 3, modelCalls: 1, costMicroCredits: 400 },
    effects: [{ path: 'mail#1', name: 'mail' }],
  })
  await expect(run.rollBack('nowhere#1')).rejects.toMatchObject({ code: 'step_unknown' })
  await run.rollBack('search#1', { reason: 'a better model', overrides: { models: { '*': 'small' } } })
  // the signal that was taken behind the point is there again
  await settled(run, 'mail#1')
  await run.signal('end')
  expect(await run.result()).toBe('small says facts on logs, first')
  expect(timesRun.get(run.id)).toBe(1)
  expect(mails.splice(0)).toEqual([expect.not.stringMatching(firstKey as string)])
  expect(await run.get()).toMatchObject({ status: 'completed', generation: 1, costMicroCredits: 520 })
  const overridden = asked.filter(({ model }) => model === 'small')
  expect(overridden).toHaveLength(1)
})

test('children behind a roll back are ended, and others take their place', async () => {
  const run = await client.start(letter, { topic: 'children', hold: true })
  await run.signal('go', 'ask')
  await settled(run, 'rw-helper#1', 'pending')
  const [first] = (await run.previewRollBack('search#1')).children
  await run.rollBack('chat#1')
  await settled(run, 'rw-helper#1', 'pending')
  await statusOf(client.handle(first?.executionId as string), 'cancelled')
  const [second] = (await run.previewRollBack(null)).children
  expect(second?.executionId).toBe(`${first?.executionId}.g1`)
  await run.cancel()
  await statusOf(client.handle(second?.executionId as string), 'cancelled')
})

test('a fork takes over edited results, another model, another agent; lineage is kept', async () => {
  const origin = await client.start(letter, { topic: 'forks' })
  expect(await origin.result()).toBe('large says facts on forks, at once')
  const preview = await origin.previewFork({ outputs: [{ path: 'search#1', output: 'edited facts' }] })
  expect(preview).toMatchObject({ toPath: 'search#1', edited: ['search#1'], again: { steps: 2, modelCalls: 1 } })

  const edited = await origin.fork({
    outputs: [{ path: 'search#1', output: 'edited facts' }],
    overrides: { models: { large: 'small' } },
  })
  expect(await edited.result()).toBe('small says edited facts, at once')
  const otherInput = await edited.fork({ toPath: 'search#1', input: { topic: 'else' } })
  expect(await otherInput.result()).toBe('small says edited facts, at once')
  const otherAgent = await origin.fork({ toPath: 'search#1', agent: 'rw-curious' })
  expect(await otherAgent.result()).toBe('facts on forks')
  await expect(origin.fork({ outputs: [{ path: 'nowhere#1', output: 1 }] })).rejects.toMatchObject({
    code: 'step_unknown',
  })

  expect(await otherInput.get()).toMatchObject({ forkedFrom: edited.id, forkedToPath: 'search#1' })
  const forks: string[] = []
  for await (const { id } of client.list({ forkedFrom: origin.id })) forks.push(id)
  expect(forks.sort()).toEqual([edited.id, otherAgent.id].sort())

  const diff = await origin.diff(edited.id)
  expect(diff.divergence).toMatchObject({ path: 'search#1', cause: 'tool' })
  expect(diff.downstream.costDeltaMicroCredits).toBe(120 - 400)
  expect((await origin.diff(origin.id)).identical).toBe(true)
  expect((await origin.diff(otherAgent.id)).divergence).toMatchObject({ cause: 'agent' })
})

test('the journal has everything that was recorded, what was taken over first', async () => {
  const origin = await client.start(letter, { topic: 'journal' })
  await origin.result()
  const fork = await origin.fork({ toPath: 'search#1' })
  await fork.result()
  const paths: string[] = []
  for await (const { entry } of fork.journal()) paths.push(entry.path)
  expect(paths).toEqual(['search#1', 'chat#1', 'mail#1'])
})

test('past runs are replayed with another model: nothing but model calls is made, and the report compares', async () => {
  const ids: string[] = []
  for (const topic of ['a', 'b']) {
    const run = await client.start(letter, { topic })
    await run.result()
    ids.push(run.id)
  }
  mails.splice(0)
  timesRun.clear()
  const { id, started, refused } = await client.replays.create({
    runs: { ids: [...ids, 'unknown-run'] },
    overrides: { models: { '*': 'small' } },
    from: { path: 'chat#1' },
    budget: { totalMicroCredits: 1_000_000 },
  })
  expect(refused).toMatchObject([{ of: 'unknown-run', error: { code: 'execution_unknown' } }])
  expect(started.map(({ of }) => of).sort()).toEqual([...ids].sort())
  for (const { executionId } of started) await client.handle(executionId).ended({ timeoutMs: 30_000 })
  const report = await client.replays.report(id)
  expect(report).toMatchObject({
    // a run gives what its mail gave, which is what the mail of the past gave: none is sent
    outcomes: { same: 2 },
    total: {
      modelCalls: { was: 2, is: 2, delta: 0 },
      costMicroCredits: { was: 800, is: 240, delta: -560 },
    },
  })
  expect(mails).toEqual([])
  expect(timesRun.size).toBe(0)

  const missed = await client.replays.create({ runs: { ids: [ids[0] as string] }, agent: 'rw-curious' })
  await client.handle(missed.started[0]?.executionId as string).ended({ timeoutMs: 30_000 })
  expect((await client.replays.report(missed.id)).outcomes).toEqual({ missed: 1 })
  await expect(client.replays.report('no-such-replay')).rejects.toMatchObject({ code: 'not_found' })
})

test('a run under recovery waits for a decision instead of failing, is found by its label, and can be rolled back', async () => {
  const options = { recovery: { policy: 'spec' }, labels: { team: 'recovery' } }
  const run = await client.start(moody, 'why?', { options })
  await statusOf(run, 'recovering')
  expect(await run.get()).toMatchObject({
    waitingFor: ['recovery:1'],
    recovery: { incident: 1, error: { code: 'agent_threw' } },
  })
  const found: string[] = []
  for await (const { id } of client.list({ labels: { team: 'recovery' } })) found.push(id)
  expect(found).toEqual([run.id])
  await expect(run.pause()).rejects.toMatchObject({ code: 'execution_recovering' })
  await run.rollBack('before#1', { overrides: { models: { weak: 'strong' }, instructions: 'Answer well.' } })
  expect(await run.result()).toBe('strong says Answer well.')
})

test('the command line rolls back, compares and replays; its exit codes say how it went', async () => {
  const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
  const agents = fileURLToPath(new URL('rewind-agents.ts', import.meta.url))
  const env = { PATH: process.env['PATH'], ...platform.environment }
  const cli = (...argv: string[]) =>
    new Promise<{ code: number; out: string; err: string }>((resolve) => {
      execFile(process.execPath, [main, ...argv], { env, cwd: home }, (error, out, err) =>
        resolve({ code: error ? Number(error.code) : 0, out, err }),
      )
    })
  const run = await client.start(letter, { topic: 'cli' }, { id: 'cli-1' })
  await run.result()
  const forked = await cli('executions', 'fork', 'cli-1', '--to', 'search#1', '--model', 'small', '--id', 'cli-2')
  expect(forked).toMatchObject({ code: 0, out: 'cli-2\n' })
  await client.handle('cli-2').result()
  const preview = await cli('executions', 'rollback', 'cli-1', '--to', 'chat#1', '--dry-run')
  expect(preview.out).toMatch(/kept {7}2 step.*\nruns again 1 step.*\nmade again mail#1/)
  expect((await cli('executions', 'rollback', 'cli-1', '--start')).code).toBe(4)

  const diff = await cli('diff', 'cli-1', 'cli-2')
  expect([diff.code, diff.out]).toEqual([1, expect.stringContaining('they part at chat#1: model')])
  expect((await cli('diff', 'cli-1', 'cli-1')).code).toBe(0)

  mails.splice(0)
  const ids = join(home, 'ids')
  writeFileSync(ids, 'cli-1\n')
  const same = await cli('replay', '--code', agents, '--ids', ids)
  expect([same.code, same.out]).toEqual([0, expect.stringMatching(/^same {6}cli-1/)])
  const many = await cli('replay', '--code', agents, '--agent', 'rw-letter', '--last', '3', '--json')
  expect([many.code, many.out.trim().split('\n').length]).toEqual([0, 3])
  const codeOf = (name: string, body: string) => {
    const file = join(home, name)
    const definition = `{ agentId: 'rw-letter' }`
    writeFileSync(
      file,
      `export const one = { id: 'rw-letter', definition: ${definition}, execute: async (input, ctx) => { ${body} } }`,
    )
    return file
  }
  const search = `await ctx.step('search', () => 1)`
  const [other, more] = [
    codeOf('other.mjs', `await ctx.step('find', () => 1)`),
    codeOf('more.mjs', `${search}; await fetch('http://127.0.0.1:65000')`),
  ]
  expect((await cli('replay', 'cli-1', '--code', other)).code).toBe(6)
  expect((await cli('replay', 'cli-1', '--code', more)).code).toBe(7)
  expect(mails).toEqual([])
  // without code it is the fold that is done again
  expect((await cli('replay', 'cli-1')).out).toContain('code and history agree')
  const replayed = await cli('replays', 'create', '--ids', ids, '--model', 'small', '--wait')
  expect([replayed.code, replayed.out]).toEqual([0, expect.stringContaining('1 same')])
})
