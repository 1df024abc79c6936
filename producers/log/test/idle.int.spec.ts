import { freshPrefix, testStack } from '@omium/dev/testing'
import { connectKafka } from '@omium/log'
import { expect, test } from 'vitest'

test("connections set no timers of kafkajs's that fire for ever", async () => {
  // Node warns once for each process, so this spec has a file, and with it a process, of its own
  const warnings: string[] = []
  process.on('warning', (warning) => warnings.push(warning.name))
  const log = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'idle' })
  const topic = `${freshPrefix()}.idle`
  await log.ensureTopics([{ topic, partitions: 1, replication: 1 }])
  const producer = await log.openProducer()
  const reader = await log.openReader([{ topic, partition: 0, fromOffset: 0 }])
  for (let i = 0; i < 3; i++) {
    await producer.append([{ topic, partition: 0, records: [{ key: null, headers: {}, value: Buffer.from('x') }] }])
    await reader.next()
  }
  await log.close()
  expect(warnings).toEqual([])
})
