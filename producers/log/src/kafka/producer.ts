import { OmiumError } from '@omium/schemas'
import type { AppendReceipt, PartitionBatch, TransportProducer } from '../transport.ts'
import { type ConnectionOptions, createConnection, delay, type KafkaBroker } from './connection.ts'
import { brokerMayAnswerLater, describe, isType } from './errors.ts'

/**
 * An idempotent producer whose sequence numbers are its own.
 *
 * 1. One append at a time; a second one while the first is under way is refused and has no effect.
 * 2. A batch keeps its producer id, epoch and first sequence until it is acknowledged, over every retry and leader
 *    change; so the broker appends it once and answers a repetition with the first base offset (KIP-98).
 * 3. A sequence number moves on only after the acknowledgement: nothing can be acknowledged in the place of another.
 * 4. Every partition of an append has exactly one receipt, or the append fails.
 * 5. An append that failed ends the producer: its sequence numbers are in doubt, every later call throws.
 */

export interface ProducerOptions extends ConnectionOptions {
  readonly connectWithinMs: number
  /** how long an append is tried again while no broker accepts it, before it fails in doubt */
  readonly deliveryTimeoutMs: number
}

interface Pending {
  readonly topic: string
  readonly partition: number
  readonly firstSequence: number
  readonly messages: { key: string | null; value: Buffer | null; headers: Record<string, string> }[]
}

const maxSequence = 2 ** 31

/** Sequences are int32 and wrap to 0, in the middle of a batch too (Kafka's DefaultRecordBatch.incrementSequence). */
export const advanceSequence = (sequence: number, records: number): number => (sequence + records) % maxSequence

const keyOf = (topic: string, partition: number) => `${topic}/${partition}`

export const openKafkaProducer = async (options: ProducerOptions): Promise<TransportProducer> => {
  const connection = createConnection(options)
  const { cluster } = connection
  const sequences = new Map<string, number>()
  let state: 'ready' | 'appending' | 'failed' | 'closed' = 'ready'

  const initialise = async () => {
    const deadline = Date.now() + options.connectWithinMs
    await connection.open([], options.connectWithinMs)
    for (;;) {
      try {
        const broker = await cluster.findControllerBroker()
        return await broker.initProducerId({ transactionTimeout: 60_000 })
      } catch (error) {
        if (!brokerMayAnswerLater(error) || Date.now() >= deadline || connection.destroyed) {
          throw new OmiumError('log_unreachable', `no broker gave a producer id: ${describe(error)}`, { cause: error })
        }
        await delay(20)
        await connection.recover(error)
      }
    }
  }

  let identity: { producerId: unknown; producerEpoch: number }
  try {
    identity = await initialise()
  } catch (error) {
    connection.destroy()
    throw error
  }

  const byLeader = (pending: Iterable<Pending>): Map<number, Pending[]> => {
    const leaders = new Map<number, Pending[]>()
    for (const batch of pending) {
      const leader = cluster
        .findTopicPartitionMetadata(batch.topic)
        .find((metadata) => metadata.partitionId === batch.partition)?.leader
      if (leader === undefined || leader < 0) continue
      const mine = leaders.get(leader)
      if (mine) mine.push(batch)
      else leaders.set(leader, [batch])
    }
    return leaders
  }

  const send = async (leader: number, batches: readonly Pending[], receipts: Map<string, AppendReceipt>) => {
    const topics = new Map<string, Pending[]>()
    for (const batch of batches) {
      const mine = topics.get(batch.topic)
      if (mine) mine.push(batch)
      else topics.set(batch.topic, [batch])
    }
    const broker: KafkaBroker = await cluster.findBroker({ nodeId: String(leader) })
    const reply = await broker.produce({
      acks: -1,
      timeout: options.requestTimeoutMs,
      ...identity,
      topicData: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
    })
    for (const { topicName, partitions } of reply.topics) {
      for (const { partition, baseOffset } of partitions) {
        const offset = Number(baseOffset)
        if (!Number.isSafeInteger(offset) || offset < 0) {
          throw new OmiumError('log_in_doubt', `the broker gave no offset for ${topicName}/${partition}`)
        }
        receipts.set(keyOf(topicName, partition), { topic: topicName, partition, baseOffset: offset })
      }
    }
  }

  const deliver = async (batches: readonly Pending[]): Promise<readonly AppendReceipt[]> => {
    const receipts = new Map<string, AppendReceipt>()
    const deadline = Date.now() + options.deliveryTimeoutMs
    let pauseMs = 5
    for (;;) {
      let failure: unknown
      try {
        await cluster.addMultipleTargetTopics([...new Set(batches.map((batch) => batch.topic))])
        const open = batches.filter((batch) => !receipts.has(keyOf(batch.topic, batch.partition)))
        const sent = await Promise.allSettled([...byLeader(open)].map(([leader, mine]) => send(leader, mine, receipts)))
        for (const outcome of sent) {
          if (outcome.status === 'fulfilled') continue
          failure = outcome.reason
          if (!brokerMayAnswerLater(outcome.reason)) throw outcome.reason
        }
      } catch (error) {
        if (!brokerMayAnswerLater(error)) throw error
        failure = error
      }
      if (batches.every((batch) => receipts.has(keyOf(batch.topic, batch.partition)))) break
      if (state === 'closed' || Date.now() >= deadline) throw failure ?? new Error('a partition has no leader')
      await delay(pauseMs)
      pauseMs = Math.min(pauseMs * 2, 100)
      await connection.recover(failure)
    }
    return batches.map((batch) => receipts.get(keyOf(batch.topic, batch.partition)) as AppendReceipt)
  }

  const prepare = (batches: readonly PartitionBatch[]): Pending[] => {
    const seen = new Set<string>()
    return batches.map(({ topic, partition, records }) => {
      const key = keyOf(topic, partition)
      if (seen.has(key)) throw new RangeError(`an append names ${key} twice`)
      if (records.length === 0) throw new RangeError(`an append has no records for ${key}`)
      seen.add(key)
      return {
        topic,
        partition,
        firstSequence: sequences.get(key) ?? 0,
        messages: records.map((record) => ({ key: record.key, value: record.value, headers: record.headers })),
      }
    })
  }

  return {
    async append(batches) {
      if (state === 'failed') throw new OmiumError('log_in_doubt', 'this producer failed before; open another one')
      if (state === 'closed') throw new OmiumError('log_unreachable', 'this producer is closed')
      if (state === 'appending') throw new OmiumError('internal', 'two appends at a time on one producer')
      const pending = prepare(batches)
      if (pending.length === 0) return []
      state = 'appending'
      try {
        const receipts = await deliver(pending)
        for (const batch of pending) {
          sequences.set(
            keyOf(batch.topic, batch.partition),
            advanceSequence(batch.firstSequence, batch.messages.length),
          )
        }
        if (state === 'appending') state = 'ready'
        return receipts
      } catch (error) {
        if (state === 'appending') state = 'failed'
        connection.destroy()
        if (isType(error, 'MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE')) {
          throw new OmiumError('payload_too_large', `the log refuses records of this size: ${describe(error)}`, {
            cause: error,
          })
        }
        throw new OmiumError('log_in_doubt', `an append failed, its outcome is unknown: ${describe(error)}`, {
          cause: error,
        })
      }
    },

    async close() {
      state = 'closed'
      connection.destroy()
    },
  }
}
