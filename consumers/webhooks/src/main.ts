import { runCapability, systemClock } from '@omium/kit'
import { kmsOf } from '@omium/personal-data'
import { createSafeFetch, egressRules } from '@omium/safe-fetch'
import { executionContext, recoveryContext, webhookContext, workflowContext } from '@omium/schemas'
import { createWebhookSecrets } from '@omium/webhook-secrets'
import pg from 'pg'
import { readConfig } from './config.ts'
import { EndpointBook } from './endpoint-book.ts'
import { followEvents } from './follow-events.ts'
import { followSecrets } from './follow-secrets.ts'
import { createHistory } from './history.ts'
import { webhookMachine } from './machine.ts'
import { createWebhookMetrics } from './metrics.ts'
import { createSender } from './sender.ts'
import { Webhooks } from './webhooks.ts'

/** The composition root of a webhooks process. */

const settings = readConfig()
const metrics = createWebhookMetrics()

await runCapability({
  name: 'webhooks',
  context: webhookContext,
  settings,
  listen: { host: '127.0.0.1', port: settings.OMIUM_WEBHOOKS_PORT },
  metrics: metrics.registry,
  async build({ log, logger, life, snapshots, openLog, openCommandSender }) {
    const commands = await openCommandSender(log)
    const endpoints = new EndpointBook({ context: log, clock: systemClock, notices: logger })
    life.onClose('endpoints', () => endpoints.close())
    await endpoints.open()
    const followings = [await openLog(executionContext), await openLog(recoveryContext)].map((followed) =>
      followEvents({ log: followed, commands, endpoints, clock: systemClock }),
    )
    const workflows = await openLog(workflowContext)
    const pool = new pg.Pool({
      connectionString: settings.OMIUM_DATABASE_URL,
      max: 4,
      application_name: 'omium-webhooks',
    })
    pool.on('error', (err) => logger.warn({ err }, 'an idle database connection broke'))
    life.onClose('database', () => pool.end())
    const kms = kmsOf(settings)
    life.onClose('key management', async () => kms.close())
    const secrets = createWebhookSecrets({ kms, query: (_tenant, text, values) => pool.query(text, [...values]) })
    const sender = createSender({
      fetch: createSafeFetch(egressRules(settings)),
      secrets,
      timeoutMs: settings.OMIUM_WEBHOOK_TIMEOUT_MS,
      nowMs: systemClock.nowMs,
    })
    life.onClose('breakers', async () => sender.close())
    const webhooks = new Webhooks({
      sender,
      rules: {
        delaysMs: settings.OMIUM_WEBHOOK_RETRIES_MS,
        disableAfterMs: settings.OMIUM_WEBHOOK_DISABLE_AFTER_MS,
      },
      keepMs: settings.OMIUM_WEBHOOK_KEEP_MS,
      history: createHistory(followings, { store: snapshots, notices: logger }),
      clock: systemClock,
      notices: logger,
      measures: metrics.measures,
      random: Math.random,
    })
    return {
      machine: webhookMachine,
      handler: webhooks,
      follows: [
        ...followings,
        ...[log, workflows].map((one) => followSecrets({ log: one, secrets, clock: systemClock })),
      ],
      joined: (running) => metrics.observe(webhooks, sender, running),
    }
  },
})
