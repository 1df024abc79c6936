import { OmiumError } from '@omium/schemas'
import type { ReadBatch, StoredRecord } from '../transport.ts'
import { delay, type FetchedMessage, type KafkaConnection, type Notice } from './connection.ts'
import { brokerMayAnswerLater, describe, isType } from './errors.ts'

/**
 * Fetches partitions from their leaders and delivers what it gets, in offset order. Readers and group members stand on it.
 *
 * 1. A position moves only by delivery or by `seek`; a reply that was asked for before a seek, pause or removal is dropped.
 * 2. A position that the log does not have (truncated, deleted, reset) halts its partition and is reported; it is never
 *    moved to the earliest or latest record.
 * 3. Each leader has one request under way; a slow delivery holds back the partitions of its leader and nothing else.
 * 4. Brokers that cannot be reached are tried again for ever, with a bounded pause.
 */

export interface FetcherOptions {
  readonly connection: KafkaConnection
  readonly maxWaitMs: number
  readonly deliver: (batch: ReadBatch) => void | Promise<void>
  readonly onHalted: (topic: string, partition: number, error: OmiumError) => void
  readonly onNotice: (notice: Notice) => void
}

export interface Fetcher {
  /** starts or moves a partition */
  set(topic: string, partition: number, offset: number): void
  remove(topic: string, partition: number): void
  has(topic: string, partition: number): boolean
  pause(topic: string, partition: number): void
  resume(topic: string, partition: number): void
  close(): Promise<void>
}

interface Position {
  readonly topic: string
  readonly partition: number
  offset: number
  paused: boolean
  halted: boolean
  /** a new number after every seek, pause and resume, so that older replies are recognised */
  moves: number
}

const readUncommitted = 0 // there are no transactions on Omium's topics; control records of others are skipped
const maxBytesPerFetch = 8 * 1024 * 1024
const maxBytesPerPartition = 2 * 1024 * 1024

const keyOf = (topic: string, partition: number) => `${topic}/${partition}`

const headersOf = (headers: FetchedMessage['headers']): Record<string, string> => {
  const decoded: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    // a repeated header is not ours; its last value counts, as in Kafka's `lastHeader`
    decoded[name] = (Array.isArray(value) ? value.at(-1) : value)?.toString() ?? ''
  }
  return decoded
}

/** Turns kafkajs's messages into records from `fromOffset` on; also the offset after the last batch of the reply. */
export const decodeMessages = (
  topic: string,
  partition: number,
  fromOffset: number,
  messages: readonly FetchedMessage[],
): { records: StoredRecord[]; nextOffset: number } => {
  const records: StoredRecord[] = []
  for (const message of messages) {
    const offset = Number(message.offset)
    if (offset < fromOffset || message.isControlRecord) continue
    records.push({
      topic,
      partition,
      offset,
      timestamp: Number(message.timestamp),
      key: message.key === null ? null : message.key.toString(),
      headers: headersOf(message.headers),
      value: message.value,
    })
  }
  const last = messages.at(-1)?.batchContext
  const nextOffset = last ? Math.max(fromOffset, Number(last.firstOffset) + last.lastOffsetDelta + 1) : fromOffset
  return { records, nextOffset }
}

export const createFetcher = ({ connection, maxWaitMs, deliver, onHalted, onNotice }: FetcherOptions): Fetcher => {
  const { cluster } = connection
  const positions = new Map<string, Position>()
  const leaders = new Map<number, Promise<void>>()
  let closed = false
  let moves = 0
  let wake: () => void = () => {}

  const isActive = (position: Position) => !position.paused && !position.halted

  const leaderOf = ({ topic, partition }: Position): number => {
    const known = cluster.findTopicPartitionMetadata(topic).find((metadata) => metadata.partitionId === partition)
    return known?.leader ?? -1
  }

  const activeOf = (leader: number): Position[] => {
    const mine: Position[] = []
    for (const position of positions.values()) {
      if (isActive(position) && leaderOf(position) === leader) mine.push(position)
    }
    return mine
  }

  const halt = (topic: string, partition: number) => {
    const position = positions.get(keyOf(topic, partition))
    if (!position || position.halted) return
    position.halted = true
    const error = new OmiumError(
      'log_truncated',
      `offset ${position.offset} of ${topic}/${partition} is not on the log any more: it was truncated, deleted or reset. Rebuild what was derived from it, or seek to an offset that exists`,
      { data: { topic, partition, offset: position.offset } },
    )
    onNotice({ level: 'error', message: error.message, fields: { topic, partition, offset: position.offset } })
    onHalted(topic, partition, error)
  }

  const deliverReply = async (asked: ReadonlyMap<string, { moves: number; offset: number }>, batch: ReadBatch) => {
    const key = keyOf(batch.topic, batch.partition)
    const position = positions.get(key)
    const request = asked.get(key)
    if (!position || !request || !isActive(position) || position.moves !== request.moves) return
    if (batch.nextOffset === position.offset) return
    position.offset = batch.nextOffset
    try {
      await deliver(batch)
    } catch (error) {
      onNotice({
        level: 'error',
        message: `handling a batch of ${key} threw; it is delivered again`,
        fields: { topic: batch.topic, partition: batch.partition, error: describe(error) },
      })
      if (position.moves === request.moves) position.offset = request.offset
      await delay(100)
    }
  }

  const fetchOnce = async (leader: number, mine: readonly Position[]) => {
    const topics = new Map<string, { partition: number; fetchOffset: string; maxBytes: number }[]>()
    const asked = new Map<string, { moves: number; offset: number }>()
    for (const { topic, partition, offset, moves } of mine) {
      asked.set(keyOf(topic, partition), { moves, offset })
      const partitions = topics.get(topic) ?? []
      partitions.push({ partition, fetchOffset: String(offset), maxBytes: maxBytesPerPartition })
      topics.set(topic, partitions)
    }
    const broker = await cluster.findBroker({ nodeId: String(leader) })
    const { responses } = await broker.fetch({
      isolationLevel: readUncommitted,
      maxWaitTime: maxWaitMs,
      minBytes: 1,
      maxBytes: maxBytesPerFetch,
      topics: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
    })
    for (const { topicName: topic, partitions } of responses) {
      for (const { partition, highWatermark, messages } of partitions) {
        const offset = asked.get(keyOf(topic, partition))?.offset
        if (offset === undefined || messages.length === 0 || closed) continue
        const { records, nextOffset } = decodeMessages(topic, partition, offset, messages)
        const endOffset = Math.max(Number(highWatermark), nextOffset)
        await deliverReply(asked, { topic, partition, records, nextOffset, endOffset })
      }
    }
  }

  const runLeader = async (leader: number) => {
    let pauseMs = 5
    while (!closed) {
      const mine = activeOf(leader)
      if (mine.length === 0) return
      try {
        await fetchOnce(leader, mine)
        pauseMs = 5
      } catch (error) {
        if (closed) return
        if (isType(error, 'OFFSET_OUT_OF_RANGE')) {
          const { topic, partition } = error as { topic?: string; partition?: number }
          if (topic !== undefined && partition !== undefined) {
            halt(topic, partition)
            continue
          }
        }
        if (!brokerMayAnswerLater(error)) {
          onNotice({ level: 'error', message: `a fetch failed: ${describe(error)}`, fields: { leader } })
          pauseMs = Math.max(pauseMs, 100)
        }
        await delay(pauseMs)
        pauseMs = Math.min(pauseMs * 2, 200)
        await connection.recover(error)
        wake()
      }
    }
  }

  const supervise = async () => {
    while (!closed) {
      let leaderless = false
      for (const position of positions.values()) {
        if (!isActive(position)) continue
        let leader = -1
        try {
          leader = leaderOf(position)
        } catch {
          // metadata is not there; it is refreshed below
        }
        if (leader < 0) leaderless = true
        else if (!leaders.has(leader)) {
          const loop = runLeader(leader).finally(() => {
            leaders.delete(leader)
            wake()
          })
          leaders.set(leader, loop)
        }
      }
      if (leaderless) {
        await delay(50)
        await connection.recover(undefined)
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
    await Promise.allSettled([...leaders.values()])
  }

  const running = Promise.resolve().then(supervise)

  const change = (topic: string, partition: number, apply: (position: Position) => void) => {
    const position = positions.get(keyOf(topic, partition))
    if (!position) return
    apply(position)
    position.moves = ++moves
    wake()
  }

  return {
    set(topic, partition, offset) {
      const key = keyOf(topic, partition)
      const known = positions.get(key)
      if (known) {
        change(topic, partition, (position) => {
          position.offset = offset
          position.halted = false
        })
        return
      }
      positions.set(key, { topic, partition, offset, paused: false, halted: false, moves: ++moves })
      wake()
    },
    remove(topic, partition) {
      positions.delete(keyOf(topic, partition))
    },
    has: (topic, partition) => positions.has(keyOf(topic, partition)),
    pause(topic, partition) {
      change(topic, partition, (position) => {
        position.paused = true
      })
    },
    resume(topic, partition) {
      change(topic, partition, (position) => {
        position.paused = false
      })
    },
    async close() {
      closed = true
      connection.destroy()
      wake()
      await running
    },
  }
}
