import { openCommandSender } from '@omium/log'
import { newestCheckpoints, type PositionWatch, type ProjectionLog, watchPositions } from '@omium/projection-kit'
import type { Pool } from 'pg'
import { createExecute, type Execute } from '../commands.ts'
import { openLive } from '../live.ts'

/** The gateway's part in the recovery context: commands with their outcomes, and how far its read models are. */
export interface Recoveries {
  readonly execute: Execute
  readonly positions: PositionWatch
  /** waits, within a bound, until the read models hold everything that this gateway has told anybody */
  untilCurrent(): Promise<void>
  /** null while it can serve, otherwise why not */
  notReady(): string | null
  close(): Promise<void>
}

export interface RecoveriesOptions {
  readonly log: ProjectionLog
  readonly pool: Pool
  readonly databaseUrl: string
  readonly commandTimeoutMs: number
  readonly readWaitMs: number
  readonly onNotice: (message: string, error: unknown) => void
}

export const openRecoveries = async (options: RecoveriesOptions): Promise<Recoveries> => {
  const { log, pool, databaseUrl, commandTimeoutMs, readWaitMs, onNotice } = options
  const positions = await watchPositions(databaseUrl, 'recoveries', onNotice)
  const live = await openLive({
    context: log.context,
    openTail: log.openTail,
    checkpoints: () => newestCheckpoints(pool, ['recoveries']),
    onNotice,
  })
  const sender = await openCommandSender(log.context)
  return {
    execute: createExecute(sender, live, commandTimeoutMs),
    positions,
    untilCurrent: async () => {
      const partitions = Array.from({ length: live.partitionCount }, (_, partition) => partition)
      await Promise.all(
        partitions.map((partition) => positions.reached(partition, live.nextOffset(partition) - 1, readWaitMs)),
      )
    },
    notReady: () => live.notReady() ?? (positions.connected ? null : 'the watch on recoveries is not connected'),
    close: async () => {
      await sender.close()
      await live.close()
      await positions.close()
    },
  }
}
