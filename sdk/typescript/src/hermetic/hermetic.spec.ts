import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OmiumError } from '@omium/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { agent } from '../agent.ts'
import type { AnyAgent, Context } from '../context.ts'
import { testRun } from '../testing.ts'
import { replayRuns } from './process.ts'
import { type RecordedRun, replayRecorded, type Verdict } from './replay.ts'

const agentOf = (run: (ctx: Context) => Promise<unknown>) =>
  agent({ id: 'writer', input: z.null(), run: (_, ctx) => run(ctx) }) as AnyAgent

const original = agentOf(async (ctx) => {
  const found = await Promise.all(['a', 'b'].map((key) => ctx.step('search', () => `facts ${key}`, { key })))
  const { content } = await ctx.llm.chat({ model: 'large', messages: [{ role: 'user', content: found.join() }] })
  const id = await ctx.uuid()
  await ctx.sleep('1d')
  await ctx.step('mail', () => 'sent', { effect: true })
  return { content, keyed: id.length > 10 }
})

const recorded = async (of = original): Promise<RecordedRun> => {
  const run = await testRun(of, null as never, { llm: ['an answer'] })
  return {
    id: 'run-1',
    agent: 'writer',
    input: null,
    journal: run.journal,
    outcome: run.error
      ? { status: 'failed', code: run.error.code, detail: run.error.message }
      : { status: 'completed', output: run.output as never },
  }
}
const verdictOf = async (code: AnyAgent, run: RecordedRun) => replayRecorded(code, run)

describe('a recorded run against today’s code', () => {
  it('is the same as long as the code asks the same', async () => {
    expect(await verdictOf(original, await recorded())).toMatchObject({ verdict: 'same' })
  })

  it('is a mismatch where the code asks otherwise', async () => {
    const changed = agentOf(async (ctx) => {
      await Promise.all(['a', 'b'].map((key) => ctx.step('search', () => 'live', { key })))
      await ctx.llm.chat({ model: 'large', messages: [{ role: 'user', content: 'another prompt' }] })
    })
    expect(await verdictOf(changed, await recorded())).toMatchObject({ verdict: 'mismatch', path: 'chat#1' })
    const shorter = agentOf(async (ctx) => ctx.step('search', () => 'live', { key: 'a' }))
    expect(await verdictOf(shorter, await recorded())).toMatchObject({ verdict: 'mismatch' })
  })

  it('is a miss where the code asks for more than was recorded, and nothing is made', async () => {
    let made = 0
    const longer = agentOf(async (ctx) => {
      const result = await original.execute(null, ctx)
      await ctx.step('more', () => {
        made += 1
      })
      return result
    })
    expect(await verdictOf(longer, await recorded())).toMatchObject({ verdict: 'miss', path: 'more#1' })
    const asking = agentOf(async (ctx) => {
      await original.execute(null, ctx)
      return ctx.llm.chat({ model: 'large', messages: [] }).catch(() => 'swallowed')
    })
    expect(await verdictOf(asking, await recorded())).toMatchObject({ verdict: 'miss', path: 'chat#2' })
    expect(made).toBe(0)
  })

  it('is different when it ends otherwise', async () => {
    const other = agentOf(async (ctx) => {
      await original.execute(null, ctx)
      return 'something else'
    })
    expect(await verdictOf(other, await recorded())).toMatchObject({ verdict: 'different' })
  })

  it('is the same when it fails as it did, and when it was ended from outside', async () => {
    const failing = agentOf(async (ctx) => {
      await ctx.step('bad', () => Promise.reject(new Error('no')), { retry: false })
    })
    const run = await recorded(failing)
    expect(run.outcome).toMatchObject({ code: 'step_failed' })
    expect(await verdictOf(failing, run)).toMatchObject({ verdict: 'same' })
    const whole = await recorded()
    const cancelled: RecordedRun = { ...whole, journal: whole.journal.slice(0, 2), outcome: { status: 'cancelled' } }
    expect(await verdictOf(original, cancelled)).toMatchObject({ verdict: 'same' })
  })
})

// each case starts processes, which takes its time on a busy machine
describe('the process of a replay', { timeout: 60_000 }, () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'omium-hermetic-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const verdictsOf = async (code: string, runs: RecordedRun[]): Promise<Verdict[]> => {
    const name = `code-${Math.abs(code.length)}-${runs.length}.mjs`
    writeFileSync(join(folder, name), code)
    const verdicts: Verdict[] = []
    const given = (async function* () {
      yield* runs
    })()
    for await (const verdict of replayRuns({ modules: [name], folder }, given)) verdicts.push(verdict)
    return verdicts
  }
  const moduleOf = (body: string, imports = '') =>
    `${imports}; export const writer = { id: 'writer', definition: { agentId: 'writer' }, async execute(input, ctx) { ${body} } }`
  const run = (id: string): RecordedRun => ({
    id,
    agent: 'writer',
    input: null,
    journal: [],
    outcome: { status: 'completed', output: 'done' },
  })

  it('replays one run after the other', async () => {
    expect(
      await verdictsOf(moduleOf(`return 'done'`), [run('1'), run('2'), { ...run('3'), agent: 'other' }]),
    ).toMatchObject([{ verdict: 'same' }, { verdict: 'same' }, { verdict: 'error' }])
  })

  it('has no network: whatever is tried is a miss, also when the code swallows the error', async () => {
    let reached = 0
    const server = createServer((_, response) => {
      reached += 1
      response.end('{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const tried = [
      `await fetch('http://127.0.0.1:${port}/').catch(() => {})`,
      `await new Promise((done) => get('http://127.0.0.1:${port}/', done).on('error', done))`,
      `try { connect(${port}, '127.0.0.1') } catch {}`,
      `await lookup('localhost').catch(() => {})`,
      `try { createSocket('udp4').send('x', ${port}) } catch {}`,
      `try { execSync('true') } catch {}`,
      `await new Promise((done) => {
        const thread = new Worker("fetch('http://127.0.0.1:${port}/').finally(() => process.exit())", { eval: true })
        thread.on('exit', done)
      })`,
    ]
    const imports = `import { get } from 'node:http'; import { connect } from 'node:net'; import { lookup } from 'node:dns/promises';
      import { createSocket } from 'node:dgram'; import { execSync } from 'node:child_process'
      import { Worker } from 'node:worker_threads'`
    const body = `const tries = [${tried.map((code) => `async () => { ${code} }`).join(', ')}]
      try { await tries[input]() } catch {} return 'done'`
    const runs = tried.map((_, i) => ({ ...run(String(i)), input: i }))
    const verdicts = await verdictsOf(moduleOf(body, imports), runs)
    expect(verdicts.map(({ verdict }) => verdict)).toEqual(tried.map(() => 'miss'))
    expect(verdicts[0]?.detail).toContain(`127.0.0.1:${port}`)
    expect(reached).toBe(0)
    server.close()
  })

  it('says what is wrong with code that cannot be loaded, or that ends the process', async () => {
    await expect(verdictsOf('export const x = 1', [run('1')])).rejects.toMatchObject({
      code: 'agent_unknown',
    } satisfies Partial<OmiumError>)
    await expect(verdictsOf(moduleOf('process.exit(3)'), [run('1')])).rejects.toMatchObject({ code: 'worker_lost' })
  })
})
