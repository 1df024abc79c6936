import { zstdCompressSync } from 'node:zlib'
import { eventually, freshPrefix, testStack } from '@omium/dev/testing'
import { type ContextOwner, type LogContext, openCommandSender } from '@omium/log'
import { commandsTopic, deadLettersTopic } from '@omium/schemas'
import kafkajs, { Kafka, logLevel } from 'kafkajs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { deposit, ledger, openLedger, openLedgerOwner } from './fixtures/ledger.ts'

const group = (prefix: string) => `${prefix}.${ledger.name}.owners`

/** What could stop a partition of commands for ever: deleted positions, and batches that not every client can read. */
describe('a partition of commands goes on', { timeout: 60_000 }, () => {
  let context: LogContext
  let topicPrefix: string
  let topic: string
  let kafka: Kafka
  let owner: ContextOwner | undefined

  const send = async (...ids: string[]) => {
    const sender = await openCommandSender(context)
    for (const id of ids) await sender.send(deposit(id, 'a'))
    await sender.close()
  }
  const truncate = async (beforeOffset: number) => {
    const admin = kafka.admin()
    await admin.connect()
    await admin.fetchTopicOffsets(topic) // it forgets to learn the topic's leaders itself
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(beforeOffset) }] })
    await admin.disconnect()
  }
  const own = async () => {
    const accepted: string[] = []
    owner = await openLedgerOwner(
      context,
      { owned: () => {}, accepted: (commandId) => void accepted.push(commandId), lost: () => {} },
      // it keeps the partition, however long a busy machine makes it stand still
      { owner: 'one', sessionTimeoutMs: 30_000 },
    )
    return accepted
  }

  beforeEach(async () => {
    topicPrefix = freshPrefix()
    topic = commandsTopic(topicPrefix, ledger.name)
    const { kafkaBrokers: brokers, registryUrl } = testStack()
    kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING })
    context = await openLedger({ brokers, registryUrl, topicPrefix }, { partitions: 1, replication: 1, fsync: false })
  })
  afterEach(async () => {
    await owner?.close()
    owner = undefined
    await context.transport.close()
  })

  test('when retention deleted the first commands and nothing is committed', async () => {
    await send('cmd-1', 'cmd-2', 'cmd-3')
    await truncate(2)
    const accepted = await own()
    await eventually(() => accepted.length === 1)
    expect(accepted).toEqual(['cmd-3'])
  })

  test('when retention deleted what was committed, and what came after it', async () => {
    await send('cmd-1', 'cmd-2', 'cmd-3')
    const admin = kafka.admin()
    await admin.connect()
    await admin.setOffsets({ groupId: group(topicPrefix), topic, partitions: [{ partition: 0, offset: '1' }] })
    await admin.disconnect()
    await truncate(2)
    const accepted = await own()
    await eventually(() => accepted.length === 1)
    expect(accepted).toEqual(['cmd-3'])
    expect(owner?.counters['truncations']).toBe(1)
  })

  test('when another producer compresses with what the client cannot read', async () => {
    const { CompressionCodecs, CompressionTypes } = kafkajs
    CompressionCodecs[CompressionTypes.ZSTD] = () => ({
      compress: async ({ buffer }: { buffer: Buffer }) => zstdCompressSync(buffer),
      decompress: async () => {
        throw new Error('this client cannot read zstd')
      },
    })
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic, compression: CompressionTypes.ZSTD, messages: [{ key: 'x', value: 'garbage' }] })
    await producer.disconnect()
    await send('cmd-1')
    const accepted = await own()
    await eventually(() => accepted.length === 1)
    const letters = () => context.transport.endOffsets(deadLettersTopic(topicPrefix))
    await eventually(async () => (await letters()).get(0) === 1)
  })
})
