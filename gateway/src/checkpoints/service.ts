import { openCommandSender, partitionFor } from '@omium/log'
import type { CheckpointObjects } from '@omium/payloads'
import { newestCheckpoints, type ProjectionLog, watchPositions } from '@omium/projection-kit'
import { aggregateKey, type CheckpointCommand } from '@omium/schemas'
import type { Pool } from 'pg'
import { type Asker, createExecute, type Decided } from '../commands.ts'
import { type Live, openLive } from '../live.ts'
import { waitForPosition } from '../reads.ts'

/** The checkpoint context as the gateway uses it: commands to threads, and reads that see what was answered before. */
export interface Checkpoints {
  readonly objects: CheckpointObjects
  readonly live: Pick<Live, 'subscribe' | 'notReady'>
  /** @throws OmiumError of the outcome's code when it was rejected, `timeout` when there is none yet */
  execute(asker: Asker, thread: string, commandId: string, command: CheckpointCommand): Promise<Decided>
  /**
   * Waits until the read model has everything of the thread that this gateway has told anybody, and `minPosition`.
   * @param thread undefined: of all threads
   * @throws OmiumError `offset_not_reached`
   */
  current(tenant: string, thread: string | undefined, minPosition: string | undefined): Promise<void>
  notReady(): string | null
  close(): Promise<void>
}

export interface CheckpointsOptions {
  readonly log: ProjectionLog
  readonly pool: Pool
  readonly databaseUrl: string
  readonly objects: CheckpointObjects
  readonly commandTimeoutMs: number
  readonly readWaitMs: number
  readonly onNotice: (message: string, error: unknown) => void
}

export const openCheckpoints = async (options: CheckpointsOptions): Promise<Checkpoints> => {
  const { log, pool, databaseUrl, objects, commandTimeoutMs, readWaitMs, onNotice } = options
  const { context, openTail } = log
  const positions = await watchPositions(databaseUrl, 'checkpoints', onNotice)
  const live = await openLive({
    context,
    openTail,
    checkpoints: () => newestCheckpoints(pool, ['checkpoints']),
    onNotice,
  })
  const sender = await openCommandSender(context)
  const execute = createExecute(sender, live, commandTimeoutMs)
  const reached = (partition: number) => positions.reached(partition, live.nextOffset(partition) - 1, readWaitMs)
  return {
    objects,
    live,
    execute: (asker, thread, commandId, command) =>
      execute(asker, aggregateKey('thread', asker.tenant, thread), commandId, command),
    async current(tenant, thread, minPosition) {
      await waitForPosition(positions, minPosition, readWaitMs)
      if (thread !== undefined) await reached(partitionFor(aggregateKey('thread', tenant, thread), live.partitionCount))
      else await Promise.all(Array.from({ length: live.partitionCount }, (_, partition) => reached(partition)))
    },
    notReady: () =>
      live.notReady() ?? (positions.connected ? null : 'the watch on the checkpoints read model is not connected'),
    async close() {
      await sender.close()
      await live.close()
      await positions.close()
    },
  }
}
