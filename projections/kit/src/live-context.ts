import type { Pool } from 'pg'
import { type Live, openLive } from './live.ts'
import { newestCheckpoints } from './offsets.ts'
import { type PositionWatch, watchPositions } from './positions.ts'
import type { ProjectionLog } from './runner.ts'

/** One context as those see it who answer requests: the live end of its log, and how far its read model is behind. */
export interface LiveContext {
  readonly live: Live
  readonly positions: PositionWatch
  /** null while both are seen, otherwise why not */
  notReady(): string | null
  close(): Promise<void>
}

export interface LiveContextOptions {
  readonly log: ProjectionLog
  /** the projection that reads are served from; its stored checkpoints are where the live tail starts */
  readonly projection: string
  readonly pool: Pool
  readonly databaseUrl: string
  /**
   * Called before anything is dispatched. Whoever listens from here on misses nothing that the read model does not have: the tail
   * begins where that is, not at the end of the log.
   */
  readonly begin?: ((context: Pick<LiveContext, 'live' | 'positions'>) => void) | undefined
  readonly onNotice: (message: string, error: unknown) => void
}

export const openLiveContext = async (options: LiveContextOptions): Promise<LiveContext> => {
  const { log, projection, pool, databaseUrl, begin, onNotice } = options
  const { context, openTail } = log
  const positions = await watchPositions(databaseUrl, projection, onNotice)
  const live = await openLive({
    context,
    openTail,
    checkpoints: () => newestCheckpoints(pool, [projection]),
    onNotice,
    ...(begin && { begin: (live) => begin({ live, positions }), from: (partition) => positions.nextOffset(partition) }),
  })
  return {
    live,
    positions,
    notReady: () => live.notReady() ?? (positions.connected ? null : `the watch on ${projection} is not connected`),
    close: async () => {
      await live.close()
      await positions.close()
    },
  }
}
