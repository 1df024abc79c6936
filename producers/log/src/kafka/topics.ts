import { OmiumError } from '@omium/schemas'
import type { TopicSpec } from '../transport.ts'
import { delay, type KafkaConnection, unknownTopicMs } from './connection.ts'
import { brokerMayAnswerLater, describe, isType } from './errors.ts'

/** Questions about topics, tried again while leaders move, for at most `withinMs`. */
const ask = async <T>(
  connection: KafkaConnection,
  withinMs: number,
  question: () => Promise<T>,
  topic?: string,
): Promise<T> => {
  const started = Date.now()
  for (;;) {
    try {
      return await question()
    } catch (error) {
      if (error instanceof OmiumError || error instanceof RangeError) throw error
      if (topic !== undefined) forgetUnknown(connection, topic, error)
      const patienceMs = isType(error, 'UNKNOWN_TOPIC_OR_PARTITION') ? Math.min(withinMs, unknownTopicMs) : withinMs
      if (!brokerMayAnswerLater(error) || Date.now() - started >= patienceMs || connection.destroyed) {
        throw new OmiumError('log_unreachable', `the brokers do not answer: ${describe(error)}`, { cause: error })
      }
      await delay(25)
      await connection.recover(error)
    }
  }
}

/**
 * kafkajs gives a topic up whose metadata request fails. But requests are shared: one that was under way already succeeds without
 * this topic, which is asked for from then on; and as long as it does not exist, no other one becomes known.
 */
const forgetUnknown = ({ cluster }: KafkaConnection, topic: string, error: unknown): void => {
  if (isType(error, 'UNKNOWN_TOPIC_OR_PARTITION')) cluster.targetTopics.delete(topic)
}

/**
 * What is known of topics is replaced by each reply about them, also by one that was asked for before this topic was: then it is
 * missing there although it exists. No topic has no partitions: it is asked for again.
 */
const partitionIds = (connection: KafkaConnection, topic: string): number[] => {
  const known = connection.cluster.findTopicPartitionMetadata(topic)
  if (known.length > 0) return known.map(({ partitionId }) => partitionId)
  throw Object.assign(new Error(`nothing is known of the topic ${topic}`), { type: 'UNKNOWN_TOPIC_OR_PARTITION' })
}

/**
 * By partition, the first offset that is on the log, or the one after the last record that readers may see (the high
 * watermark), or the first one of this time (ms) or later: -1 where there is none.
 */
export const offsetsOf = (
  connection: KafkaConnection,
  topic: string,
  which: 'first' | 'end' | number,
  withinMs: number,
): Promise<ReadonlyMap<number, number>> => {
  const question = async (): Promise<ReadonlyMap<number, number>> => {
    await connection.cluster.addMultipleTargetTopics([topic])
    const partitions = partitionIds(connection, topic).map((partition) => ({ partition }))
    const offsets = new Map<number, number>()
    const from = typeof which === 'number' ? { fromTimestamp: which } : { fromBeginning: which === 'first' }
    for (const found of await connection.cluster.fetchTopicsOffset([{ topic, partitions, ...from }])) {
      for (const { partition, offset } of found.partitions) offsets.set(partition, Number(offset))
    }
    if (offsets.size !== partitions.length)
      throw new OmiumError('log_unreachable', `a partition of ${topic} has no leader`)
    return offsets
  }
  return ask(connection, withinMs, question, topic)
}

/** By partition, where what is of this time (ms) or later begins: at the end where nothing is. */
export const offsetsSince = async (
  connection: KafkaConnection,
  topic: string,
  sinceMs: number,
  withinMs: number,
): Promise<ReadonlyMap<number, number>> => {
  // first the ends: what comes in between is of a later time
  const ends = await offsetsOf(connection, topic, 'end', withinMs)
  const found = await offsetsOf(connection, topic, sinceMs, withinMs)
  return new Map(
    [...ends].map(([partition, end]) => {
      const offset = found.get(partition) ?? -1
      return [partition, offset < 0 ? end : offset]
    }),
  )
}

export const partitionCountOf = (connection: KafkaConnection, topic: string, withinMs: number): Promise<number> => {
  const question = async (): Promise<number> => {
    await connection.cluster.addMultipleTargetTopics([topic])
    return partitionIds(connection, topic).length
  }
  return ask(connection, withinMs, question, topic)
}

/** undefined when the topic does not exist */
const existingPartitions = async (connection: KafkaConnection, topic: string): Promise<number | undefined> => {
  try {
    await connection.cluster.addMultipleTargetTopics([topic])
    return partitionIds(connection, topic).length
  } catch (error) {
    forgetUnknown(connection, topic, error)
    if (isType(error, 'UNKNOWN_TOPIC_OR_PARTITION')) return undefined
    throw error
  }
}

/**
 * Creates the topics that are missing and waits until every partition has a leader.
 * @throws RangeError when a topic exists with another number of partitions: keys would move to other partitions
 */
export const ensureKafkaTopics = async (
  connection: KafkaConnection,
  specs: readonly TopicSpec[],
  withinMs: number,
): Promise<void> => {
  const missing: TopicSpec[] = []
  for (const spec of specs) {
    const found = await ask(connection, withinMs, () => existingPartitions(connection, spec.topic))
    if (found === undefined) missing.push(spec)
    else if (found !== spec.partitions) {
      throw new RangeError(
        `topic ${spec.topic} has ${found} partitions, not ${spec.partitions}; they never change: set OMIUM_PARTITIONS=${found}, or another OMIUM_TOPIC_PREFIX; a local stack whose data may go starts over with: npm run omium reset`,
      )
    }
  }
  if (missing.length === 0) return

  await ask(connection, withinMs, async () => {
    const controller = await connection.cluster.findControllerBroker()
    for (const spec of missing) {
      try {
        await controller.createTopics({
          timeout: 10_000,
          topics: [
            {
              topic: spec.topic,
              numPartitions: spec.partitions,
              replicationFactor: spec.replication,
              configEntries: Object.entries(spec.config ?? {}).map(([name, value]) => ({ name, value })),
            },
          ],
        })
      } catch (error) {
        // several processes start at once
        const reason = (error as { errors?: unknown[] }).errors?.[0] ?? error
        if (!isType(reason, 'TOPIC_ALREADY_EXISTS')) throw reason
      }
    }
  })

  const deadline = Date.now() + withinMs
  for (const spec of missing) {
    for (;;) {
      const found = await ask(connection, withinMs, () => existingPartitions(connection, spec.topic))
      const led =
        found === spec.partitions &&
        connection.cluster.findTopicPartitionMetadata(spec.topic).every(({ leader }) => leader >= 0)
      if (led) break
      if (found !== undefined && found !== spec.partitions) {
        throw new RangeError(`topic ${spec.topic} was made with ${found} partitions, not ${spec.partitions}`)
      }
      if (Date.now() >= deadline) {
        throw new OmiumError('log_unreachable', `topic ${spec.topic} got no leaders; are enough brokers up?`)
      }
      await delay(25)
      await connection.recover(undefined)
    }
  }
}
