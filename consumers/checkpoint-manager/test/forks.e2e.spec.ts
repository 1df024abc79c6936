import { createHash } from 'node:crypto'
import { eventually, type TenantOfPlatform, tenantOfPlatform } from '@omium/dev/testing'
import { createS3ObjectStore, type ObjectStore } from '@omium/payloads'
import { agent, type Client, omium, type RunHandle, type Worker, worker } from '@omium/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'

/** A fork needs nothing of its origin: every object of the origin is gone, and the fork starts, runs and goes back. */

const ran: string[] = []
/** too large for the log: it travels by reference to an object */
const large = (text: string): string => text.padEnd(100_000, '.')
const digest = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex')

const essayist = agent({
  id: 'cp-essayist',
  input: z.object({ brief: z.string() }),
  async run({ brief }, ctx) {
    const parts: string[] = []
    for (const name of ['one', 'two', 'three']) {
      parts.push(
        await ctx.step(name, () => {
          ran.push(`${ctx.executionId} ${name}`)
          return large(name)
        }),
      )
    }
    await ctx.checkpoint('draft', { parts })
    const go = await ctx.waitFor('go')
    return { brief: digest(brief), parts: digest(parts), go }
  },
})
const input = { brief: large('a brief') }
const expected = { brief: digest(input.brief), parts: digest(['one', 'two', 'three'].map(large)), go: 1 }

let platform: TenantOfPlatform
let host: Worker
let client: Client
let objects: ObjectStore

beforeAll(async () => {
  platform = await tenantOfPlatform()
  const { environment: env, url, apiKey } = platform
  const connection = { url, apiKey }
  client = omium(connection)
  host = worker({ ...connection, agents: [essayist], signals: false, logger: pino({ level: 'silent' }) })
  await host.start()
  objects = await createS3ObjectStore({
    endpoint: env['OMIUM_S3_ENDPOINT'],
    region: env['OMIUM_S3_REGION'] as string,
    bucket: env['OMIUM_S3_BUCKET'] as string,
    accessKeyId: env['OMIUM_S3_ACCESS_KEY_ID'],
    secretAccessKey: env['OMIUM_S3_SECRET_ACCESS_KEY'],
  })
})
afterAll(async () => {
  await host?.stop()
  await objects?.close()
})

const patience = { timeoutMs: 60_000 }
const objectsOf = async (run: string) => {
  const keys = [...(await objects.list('checkpoints/')), ...(await objects.list('payloads/'))]
  return keys.filter((key) => key.includes(`/${run}/`))
}
const checkpointsOf = async (thread: string) => {
  const found = []
  for await (const one of client.checkpoints.list({ thread })) found.push(one)
  return found
}
const waits = (run: RunHandle<unknown>) =>
  eventually(
    async () =>
      expect((await run.steps()).find(({ path, superseded }) => path === 'wait:go#1' && !superseded)).toBeDefined(),
    patience,
  )

test('a fork starts, runs and goes back to before it was forked, when everything of its origin is gone', async () => {
  const queue = (key: string) => ({ concurrency: { key, limit: 1 } })
  const checkpoints = { every: 'step' } as const
  const origin = await eventually(
    () => client.start(essayist, input, { id: 'cp-origin', options: { checkpoints, ...queue('cp-origin') } }),
    patience,
  )
  await waits(origin)
  await eventually(async () => expect(await checkpointsOf(origin.id)).toHaveLength(5), patience)

  // the thread's retention runs out, and the thread goes, in the middle of forks being made
  const [early, late, raced] = await Promise.all([
    origin.fork({ id: 'cp-early', toPath: 'three#1', options: queue('cp-early') }),
    // waits for the origin's permit: it has not started when the origin is collected
    origin.fork({ id: 'cp-late', toPath: 'two#1' }),
    origin.fork({ id: 'cp-raced', toPath: 'one#1', options: queue('cp-raced') }),
    client.checkpoints.setRetention(origin.id, { keepLast: 1 }),
    client.checkpoints.delete(origin.id),
  ])
  await waits(early)
  await eventually(async () => expect((await late.get()).status).toBe('awaiting_permit'), patience)
  const gone = await objectsOf(origin.id)
  expect(gone.filter((key) => key.startsWith('payloads/')).length).toBeGreaterThanOrEqual(4)
  expect(gone.filter((key) => key.startsWith('checkpoints/')).length).toBeGreaterThanOrEqual(4)
  await Promise.all(gone.map((key) => objects.remove(key)))
  ran.length = 0

  // back to before the fork, and before what the origin had checkpoints of
  await early.rollBack('one#1')
  // of the one that was raced some may run only now
  const ranOf = (id: string) => ran.filter((one) => one.startsWith(`${id} `))
  await eventually(() => expect(ranOf('cp-early')).toEqual(['cp-early two', 'cp-early three']), patience)
  await origin.cancel()
  for (const run of [early, late, raced]) await run.signal('go', 1)
  for (const run of [early, late, raced]) expect(await run.result(patience)).toEqual(expected)
  expect(ranOf('cp-late')).toEqual(['cp-late three'])

  // what the forks themselves keep is whole, and can be made again from the log
  for (const run of [early, late, raced]) {
    const own = await eventually(async () => {
      const found = (await checkpointsOf(run.id)).filter(({ kind }) => kind === 'run')
      expect(found[0]?.label).toBe('after wait:go#1')
      return found
    }, patience)
    for (const { id } of own) {
      expect(await client.checkpoints.verify(run.id, id)).toEqual({ intact: true, rebuilt: false })
    }
    for (const key of await objectsOf(run.id)) if (key.startsWith('checkpoints/')) await objects.remove(key)
    expect(await client.checkpoints.verify(run.id, own[0]?.id ?? '')).toMatchObject({ intact: false, rebuilt: true })
  }
}, 240_000)
