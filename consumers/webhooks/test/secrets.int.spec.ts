import {
  eventually,
  freshDatabase,
  freshSecrets,
  type ServiceHandle,
  spawnService,
  stackSettings,
} from '@omium/dev/testing'
import { Follower, type Following, systemClock } from '@omium/kit'
import { type LogContext, logSettings, openLog } from '@omium/log'
import { HistoryWriter } from '@omium/log/testing'
import { migrate } from '@omium/migrations'
import { kmsOf, kmsSettings } from '@omium/personal-data'
import { aggregateKey, readSettings, workflowContext } from '@omium/schemas'
import { createWebhookSecrets, triggerOwner, type WebhookSecrets } from '@omium/webhook-secrets'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { followSecrets } from '../src/follow-secrets.ts'

/** What becomes of triggers' secrets, whoever dies: the real log and database, and processes that are killed. */
const tenant = 'ten_a'
const partitions = 2
const patience = { timeoutMs: 60_000 }
let env: Record<string, string>
let log: LogContext
let writer: HistoryWriter
let pool: pg.Pool
let secrets: WebhookSecrets
let service: ServiceHandle

const start = () =>
  spawnService('consumers/webhooks/src/main.ts', env, { readyLine: /"msg":"ready"/, readyTimeoutMs: 90_000 })

beforeAll(async () => {
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl)
  env = {
    ...freshSecrets(),
    ...stackSettings(),
    OMIUM_PARTITIONS: String(partitions),
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_OWNER_SESSION_TIMEOUT_MS: '1500',
    OMIUM_WEBHOOKS_PORT: '0',
  }
  pool = new pg.Pool({ connectionString: databaseUrl })
  const kms = kmsOf(readSettings(env, kmsSettings))
  secrets = createWebhookSecrets({ kms, query: (_tenant, text, values) => pool.query(text, [...values]) })
  log = await openLog(readSettings(env, logSettings), {
    definition: workflowContext,
    clientId: 'secrets-spec',
    onNotice: () => undefined,
  })
  writer = await HistoryWriter.open(log, partitions)
}, 120_000)
afterAll(async () => {
  await service?.kill()
  await writer?.close()
  await log?.transport.close()
  await pool?.end()
})

const keep = (trigger: string) => secrets.keep(tenant, triggerOwner(trigger), `whs_${trigger}`)
const put = (triggerId: string, sealedSecret: string) =>
  writer.write(aggregateKey('trigger', tenant, triggerId), [
    {
      type: 'TriggerPut',
      data: { triggerId, spec: { workflow: 'w', source: { type: 'webhook', sealedSecret } }, by: 'system' },
    },
  ])
const remove = (triggerId: string) =>
  writer.write(aggregateKey('trigger', tenant, triggerId), [{ type: 'TriggerDeleted', data: { by: 'system' } }])
const left = async () => new Set((await pool.query('SELECT id FROM webhook_secrets')).rows.map(({ id }) => id))

it('they go with what had them in force, although the process is killed in between, and no others go', async () => {
  const triggers = Array.from({ length: 60 }, (_, n) => `t${n}`)
  const first = new Map<string, string>()
  for (const trigger of triggers) {
    first.set(trigger, await keep(trigger))
    await put(trigger, first.get(trigger) ?? '')
  }
  // this one's command is still under way, or never was sent
  const pending = await keep('t0')
  service = await start()
  for (const trigger of triggers.slice(0, 40)) await remove(trigger)
  await eventually(async () => expect((await left()).size).toBeLessThan(61), patience)
  await service.kill('SIGKILL')
  // one is made again meanwhile, and one gets another secret
  const [again, other] = [await keep('t1'), await keep('t59')]
  await put('t1', again)
  await put('t59', other)
  service = await start()
  const expected = new Set([pending, again, other, ...triggers.slice(40, 59).map((trigger) => first.get(trigger))])
  await eventually(async () => expect(await left()).toEqual(expected), patience)
  // whoever reads everything again, as after its place was lost, takes nothing away that is in force
  await service.kill('SIGKILL')
  await pool.query(`UPDATE webhook_secrets SET created_at = now() - interval '9 days' WHERE id = ANY($1)`, [
    [pending, again],
  ])
  const young = await keep('t2')
  const followers = Array.from(
    { length: partitions },
    (_, partition) =>
      new Follower(partition, followSecrets({ log, secrets, clock: systemClock, sweepMs: 50 }) as Following, {
        store: { list: async () => [], load: () => Promise.reject(), save: async () => {}, remove: async () => {} },
        clock: systemClock,
        notices: { info: () => {}, warn: () => {}, error: () => {} },
      }),
  )
  expected.delete(pending)
  expected.add(young)
  await eventually(async () => expect(await left()).toEqual(expected), patience)
  await Promise.all(followers.map((follower) => follower.close(true)))
  expect(await secrets.open(tenant, triggerOwner('t1'), again)).toBe('whs_t1')
}, 180_000)
