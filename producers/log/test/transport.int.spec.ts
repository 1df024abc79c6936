import { freshPrefix, testStack } from '@omium/dev/testing'
import { connectKafka } from '@omium/log'
import { describeTransportContract } from '@omium/log/testing'

describeTransportContract('Kafka', async () => {
  const transport = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'contract' })
  const prefix = freshPrefix()
  return {
    transport,
    topic: (name) => `${prefix}.${name}`,
    sessionTimeoutMs: 1000,
    close: () => transport.close(),
  }
})
