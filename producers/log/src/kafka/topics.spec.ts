import { describe, expect, it } from 'vitest'
import type { KafkaCluster, KafkaConnection } from './connection.ts'
import { ensureKafkaTopics, offsetsOf } from './topics.ts'

/** A cluster whose metadata requests are shared as kafkajs shares them: who asks while one is under way gets its outcome. */
const clusterWith = (existing: ReadonlySet<string>) => {
  const targetTopics = new Set<string>()
  const unknown = () =>
    Object.assign(new Error('This server does not host this topic-partition'), {
      type: 'UNKNOWN_TOPIC_OR_PARTITION',
      retriable: true,
    })
  let underWay: Promise<void> | undefined
  let metadata: readonly string[] = []
  const refreshMetadata = (): Promise<void> => {
    const asked = [...targetTopics]
    underWay ??= new Promise<void>((resolve, reject) =>
      setImmediate(() => {
        if (asked.some((topic) => !existing.has(topic))) return reject(unknown())
        metadata = asked
        resolve()
      }),
    ).finally(() => {
      underWay = undefined
    })
    return underWay
  }
  const cluster = {
    targetTopics,
    refreshMetadata,
    addMultipleTargetTopics: async (topics: string[]) => {
      const added = topics.filter((topic) => !targetTopics.has(topic))
      for (const topic of added) targetTopics.add(topic)
      if (added.length === 0) return
      await refreshMetadata().catch((error: unknown) => {
        for (const topic of added) targetTopics.delete(topic)
        throw error
      })
    },
    findTopicPartitionMetadata: (topic: string) => (metadata.includes(topic) ? [{ partitionId: 0, leader: 1 }] : []),
    fetchTopicsOffset: async ([question]: [{ topic: string }]) => [
      { topic: question.topic, partitions: [{ partition: 0, offset: '7' }] },
    ],
  } as unknown as KafkaCluster
  const connection = {
    cluster,
    destroyed: false,
    recover: () => refreshMetadata().catch(() => undefined),
  } as unknown as KafkaConnection
  return { connection, refreshMetadata, targetTopics }
}

describe('a topic that does not exist', () => {
  it('is not asked for any more, also when its question was answered by that of somebody else', async () => {
    const { connection, refreshMetadata, targetTopics } = clusterWith(new Set(['there']))
    const shared = refreshMetadata()
    await expect(offsetsOf(connection, 'missing', 'end', 0)).rejects.toMatchObject({ code: 'log_unreachable' })
    await shared
    expect([...targetTopics]).toEqual([])
    expect(await offsetsOf(connection, 'there', 'end', 1000)).toEqual(new Map([[0, 7]]))
  })

  it('is made although its question was answered by that of somebody else', async () => {
    const existing = new Set<string>()
    const { connection, refreshMetadata } = clusterWith(existing)
    const controller = {
      createTopics: async ({ topics }: { topics: { topic: string }[] }) =>
        void topics.map(({ topic }) => existing.add(topic)),
    }
    Object.assign(connection.cluster, { findControllerBroker: async () => controller })
    void refreshMetadata()
    await ensureKafkaTopics(connection, [{ topic: 'new', partitions: 1, replication: 1 }], 1000)
    expect(await offsetsOf(connection, 'new', 'end', 1000)).toEqual(new Map([[0, 7]]))
  })
})
