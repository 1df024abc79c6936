import { openCommandSender, partitionFor } from '@omium/log'
import { newestCheckpoints, type PositionWatch, type ProjectionLog, watchPositions } from '@omium/projection-kit'
import { eventsTopic } from '@omium/schemas'
import type { Pool } from 'pg'
import { createExecute, type Execute } from './commands.ts'
import { type Live, openLive } from './live.ts'
import { waitForPosition } from './reads.ts'

/** The gateway's part in one context of the log: commands with their outcomes, and reads that see what was answered before. */
export interface GatewayContext {
  readonly live: Live
  readonly positions: PositionWatch
  readonly execute: Execute
  /**
   * Waits, within a bound, until the read models hold what this gateway has told anybody about the aggregate (undefined: about
   * all of them). Commands are answered from the live tail, which may be ahead.
   */
  untilCurrent(aggregate?: string): Promise<void>
  /** Waits until the read models hold a position (`<partition>:<offset>`). @throws OmiumError `offset_not_reached` */
  untilReached(position: string | undefined): Promise<void>
  /** null while it can serve, otherwise why not */
  notReady(): string | null
  /** Asks the brokers. The tail itself waits for them for ever, and says nothing. @throws OmiumError `log_unreachable` */
  askLog(): Promise<unknown>
  close(): Promise<void>
}

export interface GatewayContextOptions {
  readonly log: ProjectionLog
  /** the projection that reads are served from; its stored checkpoints are where the live tail starts */
  readonly projection: string
  readonly pool: Pool
  readonly databaseUrl: string
  readonly commandTimeoutMs: number
  readonly readWaitMs: number
  readonly onNotice: (message: string, error: unknown) => void
}

export const openGatewayContext = async (options: GatewayContextOptions): Promise<GatewayContext> => {
  const { log, projection, pool, databaseUrl, commandTimeoutMs, readWaitMs, onNotice } = options
  const { context, openTail } = log
  const positions = await watchPositions(databaseUrl, projection, onNotice)
  const live = await openLive({
    context,
    openTail,
    checkpoints: () => newestCheckpoints(pool, [projection]),
    onNotice,
  })
  const sender = await openCommandSender(context)
  const caughtUp = (partition: number) => positions.reached(partition, live.nextOffset(partition) - 1, readWaitMs)
  return {
    live,
    positions,
    execute: createExecute(sender, live, commandTimeoutMs),
    untilCurrent: async (aggregate) => {
      if (aggregate !== undefined) await caughtUp(partitionFor(aggregate, live.partitionCount))
      else await Promise.all(Array.from({ length: live.partitionCount }, (_, partition) => caughtUp(partition)))
    },
    untilReached: (position) => waitForPosition(positions, live.partitionCount, position, readWaitMs),
    askLog: () => context.transport.endOffsets(eventsTopic(context.topicPrefix, context.definition.name)),
    notReady: () => live.notReady() ?? (positions.connected ? null : `the watch on ${projection} is not connected`),
    close: async () => {
      await sender.close()
      await live.close()
      await positions.close()
    },
  }
}
