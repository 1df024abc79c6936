import { Client } from 'pg'
import { positionsChannel } from './apply-slices.ts'

/**
 * Knows how far a projection's live generation is, without polling: every commit notifies. After a lost connection the
 * offsets are read once, after listening, so nothing is missed.
 */
export interface PositionWatch {
  /** resolves true once the read model includes `offset` of `partition`, false when `timeoutMs` passes first */
  reached(partition: number, offset: number, timeoutMs: number): Promise<boolean>
  nextOffset(partition: number): number
  readonly connected: boolean
  close(): Promise<void>
}

interface Waiter {
  readonly partition: number
  readonly offset: number
  readonly settle: (reached: boolean) => void
}

const reconnectDelayMs = 500
/** a database that takes longer to let somebody in, or to answer them then, is away */
const connectMs = 10_000

export const watchPositions = async (
  databaseUrl: string,
  projection: string,
  onNotice: (message: string, error: Error) => void,
): Promise<PositionWatch> => {
  const next = new Map<number, number>()
  const waiters = new Set<Waiter>()
  let client: Client | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const advance = (partition: number, offset: number) => {
    if (offset > (next.get(partition) ?? 0)) next.set(partition, offset)
    for (const waiter of waiters) {
      if (waiter.partition === partition && waiter.offset < (next.get(partition) ?? 0)) waiter.settle(true)
    }
  }

  const connect = async (): Promise<void> => {
    const fresh = new Client({
      connectionString: databaseUrl,
      application_name: 'omium-positions',
      keepAlive: true,
      connectionTimeoutMillis: connectMs,
      query_timeout: connectMs,
    })
    const lost = (error: Error) => {
      if (client !== fresh || closed) return
      client = undefined
      onNotice('the watch on read models reconnects', error)
      retry()
    }
    fresh.on('error', lost)
    fresh.on('end', () => lost(new Error('the connection ended')))
    fresh.on('notification', ({ payload }) => {
      const notice = JSON.parse(payload ?? '{}') as { projection?: string; offsets?: Record<string, number> }
      if (notice.projection !== projection) return
      for (const [partition, offset] of Object.entries(notice.offsets ?? {})) advance(Number(partition), offset)
    })
    try {
      await fresh.connect()
      await fresh.query(`LISTEN ${positionsChannel}`)
      const { rows } = await fresh.query<{ partition: number; next_offset: string }>(
        `SELECT partition, next_offset FROM projection_offsets
         JOIN projection_versions USING (projection, generation) WHERE projection = $1 AND live`,
        [projection],
      )
      if (closed) return await fresh.end()
      client = fresh
      for (const row of rows) advance(row.partition, Number(row.next_offset))
    } catch (error) {
      // one that is of no use must not stay open: another one is tried soon, and again
      fresh.end().catch(() => undefined)
      throw error
    }
  }
  const retry = () => {
    if (closed) return
    timer = setTimeout(() => connect().catch(retry), reconnectDelayMs)
  }

  await connect()
  return {
    get connected() {
      return client !== undefined
    },
    nextOffset: (partition) => next.get(partition) ?? 0,
    reached: (partition, offset, timeoutMs) => {
      if (offset < (next.get(partition) ?? 0)) return Promise.resolve(true)
      if (timeoutMs <= 0) return Promise.resolve(false)
      return new Promise((resolve) => {
        const deadline = setTimeout(() => waiter.settle(false), timeoutMs)
        const waiter: Waiter = {
          partition,
          offset,
          settle: (reached) => {
            clearTimeout(deadline)
            waiters.delete(waiter)
            resolve(reached)
          },
        }
        waiters.add(waiter)
      })
    },
    close: async () => {
      closed = true
      clearTimeout(timer)
      for (const waiter of waiters) waiter.settle(false)
      await client?.end().catch(() => undefined)
    },
  }
}
