import { freshPrefix, testStack } from '@omium/dev/testing'
import { connectKafka } from '@omium/log'
import { describeTransportContract } from '@omium/log/testing'
import { expect, it } from 'vitest'

describeTransportContract('Kafka', async () => {
  const transport = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'contract' })
  const prefix = freshPrefix()
  return {
    transport,
    topic: (name) => `${prefix}.${name}`,
    sessionTimeoutMs: 10_000,
    close: () => transport.close(),
  }
})

it('knows the ends of a topic that is asked for while others are that do not exist', async () => {
  const prefix = freshPrefix()
  const transport = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'missing' })
  const topics = Array.from({ length: 30 }, (_, i) => `${prefix}.t${i}`)
  await transport.ensureTopics(topics.map((topic) => ({ topic, partitions: 1, replication: 1 })))
  await transport.close()
  // a client of its own, that has not heard of any of them
  const asking = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'missing' })
  let done = false
  const missing = Array.from({ length: 8 }, async (_, i) => {
    while (!done) await asking.endOffsets(`${prefix}.missing${i}`).catch(() => undefined)
  })
  for (const topic of topics) expect(await asking.endOffsets(topic)).toEqual(new Map([[0, 0]]))
  done = true
  await Promise.all(missing)
  await asking.close()
})
