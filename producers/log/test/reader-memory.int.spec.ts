import { queryObjects } from 'node:v8'
import { freshPrefix, testStack } from '@omium/dev/testing'
import { connectKafka } from '@omium/log'
import { expect, test } from 'vitest'

test('a reader that has waited often keeps nothing of it', async () => {
  const log = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'reader-memory' })
  const topic = `${freshPrefix()}.waits`
  await log.ensureTopics([{ topic, partitions: 1, replication: 1 }])
  const producer = await log.openProducer()
  const reader = await log.openReader([{ topic, partition: 0, fromOffset: 0 }])
  const waits = async (count: number): Promise<number> => {
    for (let i = 0; i < count; i++) {
      const next = reader.next()
      await producer.append([{ topic, partition: 0, records: [{ key: null, headers: {}, value: Buffer.from('x') }] }])
      await next
    }
    // collects garbage first
    return queryObjects(Promise, { format: 'count' })
  }
  const before = await waits(50)
  const after = await waits(500)
  await log.close()
  expect(after - before).toBeLessThan(100)
})
