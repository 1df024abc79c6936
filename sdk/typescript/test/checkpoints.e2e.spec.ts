import { eventually, type TenantOfPlatform, tenantOfPlatform } from '@omium/dev/testing'
import { agent, type Client, omium, type Worker, worker } from '@omium/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'

/** Checkpoints of real runs, on the whole platform. */

const ran: string[] = []
const step = (run: string, name: string) => () => {
  ran.push(`${run} ${name}`)
  return `${name} of try ${ran.filter((one) => one === `${run} ${name}`).length}`
}

const writer = agent({
  id: 'cp-writer',
  input: z.null(),
  async run(_, ctx) {
    const plan = await ctx.step('plan', step(ctx.executionId, 'plan'))
    const text = await ctx.step('write', step(ctx.executionId, 'write'))
    await ctx.checkpoint('draft', { plan, text })
    const go = await ctx.waitFor('go')
    const sent = await ctx.step('send', step(ctx.executionId, 'send'), { effect: true })
    return { plan, text, go, sent }
  },
})

let platform: TenantOfPlatform
let host: Worker
let client: Client

beforeAll(async () => {
  platform = await tenantOfPlatform()
  const { url, apiKey } = platform
  const connection = { url, apiKey }
  client = omium(connection)
  host = worker({ ...connection, agents: [writer], signals: false, logger: pino({ level: 'silent' }) })
  await host.start()
})
afterAll(async () => {
  await host?.stop()
})

const start = (id: string) =>
  eventually(
    () => client.start(writer, null, { id, options: { checkpoints: { every: 'step', beforeEffects: true } } }),
    { timeoutMs: 20_000 },
  )
const checkpointsOf = async (thread: string) => {
  const found = []
  for await (const one of client.checkpoints.list({ thread })) found.push(one)
  return found
}
const until = (thread: string, count: number) =>
  eventually(async () => expect(await checkpointsOf(thread)).toHaveLength(count), { timeoutMs: 20_000 })

test('a run leaves checkpoints of what it recorded and of what it gave, and goes back to one', async () => {
  const run = await start('cp-run')
  await until(run.id, 4)
  const [draft, afterDraft, afterWrite, afterPlan] = await checkpointsOf(run.id).then((found) => [
    found.find(({ kind }) => kind === 'state'),
    ...found.filter(({ kind }) => kind === 'run'),
  ])
  expect(draft).toMatchObject({ label: 'draft', point: { path: 'draft#1' } })
  expect([afterDraft, afterWrite, afterPlan].map((one) => one?.label)).toEqual([
    'after draft#1',
    'after write#1',
    'after plan#1',
  ])
  const kept = await client.checkpoints.get(run.id, draft?.id)
  expect(kept.state).toEqual({ json: { plan: 'plan of try 1', text: 'write of try 1' } })

  const back = await client.checkpoints.rollback(run.id, afterPlan?.id ?? '', { reason: 'another text' })
  expect(back).toMatchObject({ checkpoint: afterPlan?.id, execution: run.id })
  await run.signal('go', 1)
  expect(await run.result({ timeoutMs: 30_000 })).toEqual({
    plan: 'plan of try 1',
    text: 'write of try 2',
    go: 1,
    sent: 'send of try 1',
  })
  expect(ran.filter((one) => one.startsWith(run.id))).toEqual(
    ['plan', 'write', 'write', 'send'].map((name) => `${run.id} ${name}`),
  )
  // write, draft, draft's state, the signal, before and after the effect
  await until(run.id, 4 + 6)
  const after = await checkpointsOf(run.id)
  expect(
    after
      .filter(({ status }) => status === 'superseded')
      .map(({ id }) => id)
      .sort(),
  ).toEqual([draft?.id, afterDraft?.id, afterWrite?.id].sort())
  expect(after.map(({ label }) => label)).toContain('before send#1')
  const [latest] = after.filter(({ kind, status }) => kind === 'run' && status === 'intact')
  const { state } = await client.checkpoints.get(run.id, latest?.id)
  expect('json' in state && (state.json as { path: string }[]).map(({ path }) => path)).toEqual([
    'plan#1',
    'write#1',
    'draft#1',
    'wait:go#1',
    'send#1',
  ])
})

test('a finished run cannot be gone back to, and its checkpoints stay readable', async () => {
  const run = await start('cp-done')
  await run.signal('go', 1)
  await run.result({ timeoutMs: 30_000 })
  await until(run.id, 7)
  const [newest] = await checkpointsOf(run.id)
  await expect(client.checkpoints.rollback(run.id, newest?.id ?? '')).rejects.toMatchObject({
    code: 'execution_finished',
  })
  for (const { id } of await checkpointsOf(run.id)) {
    expect(await client.checkpoints.verify(run.id, id)).toEqual({ intact: true, rebuilt: false })
  }
})
