import { openCommandSender } from '@omium/log'
import { newestCheckpoints, type PositionWatch, type ProjectionLog, watchPositions } from '@omium/projection-kit'
import type { Pool } from 'pg'
import { createExecute, type Execute } from '../commands.ts'
import { type Live, openLive } from '../live.ts'
import { createWebhookSecrets, type WebhookSecrets } from '../webhook-secrets.ts'

/** The workflow context, as the routes see it. */
export interface Workflows {
  readonly live: Live
  readonly positions: PositionWatch
  readonly execute: Execute
  readonly secrets: WebhookSecrets
  close(): Promise<void>
}

export interface OpenWorkflowsOptions {
  readonly log: ProjectionLog
  readonly pool: Pool
  readonly databaseUrl: string
  readonly commandTimeoutMs: number
  /** secrets of webhooks are encrypted with a key that is derived from it */
  readonly tokenSecret: string
  readonly onNotice: (message: string, error: unknown) => void
}

export const openWorkflows = async (options: OpenWorkflowsOptions): Promise<Workflows> => {
  const { log, pool, databaseUrl, commandTimeoutMs, tokenSecret, onNotice } = options
  const { context, openTail } = log
  const positions = await watchPositions(databaseUrl, 'workflows', onNotice)
  const live = await openLive({
    context,
    openTail,
    checkpoints: () => newestCheckpoints(pool, ['workflows']),
    onNotice,
  })
  const sender = await openCommandSender(context)
  return {
    live,
    positions,
    execute: createExecute(sender, live, commandTimeoutMs),
    secrets: createWebhookSecrets(tokenSecret),
    close: async () => {
      await sender.close()
      await live.close()
      await positions.close()
    },
  }
}
