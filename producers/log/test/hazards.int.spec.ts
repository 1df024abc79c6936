import { freshPrefix, testStack } from '@omium/dev/testing'
import { connectKafka, type KafkaOptions, type LogTransport, type RawRecord, type StoredRecord } from '@omium/log'
import { type FaultProxy, kafkaApi, Random, startFaultProxy } from '@omium/log/testing'
import { Kafka, logLevel } from 'kafkajs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

/** Each hazard of kafkajs 2.2.4 that DESIGN section 3 lists, on a real broker behind the fault proxy. */
const record = (text: string): RawRecord => ({ key: text, headers: {}, value: Buffer.from(text) })
const texts = (records: readonly StoredRecord[]) => records.map(({ value }) => value?.toString())

describe('with replies lost and connections cut', () => {
  let proxy: FaultProxy
  let direct: LogTransport
  let topic: string
  const opened: LogTransport[] = []

  const throughProxy = async (options: Partial<KafkaOptions> = {}) => {
    const transport = await connectKafka({
      brokers: testStack().kafkaBrokers,
      clientId: 'hazards',
      socketFactory: proxy.socketFactory,
      requestTimeoutMs: 400,
      ...options,
    })
    opened.push(transport)
    return transport
  }
  const readAll = async (): Promise<StoredRecord[]> => {
    const end = (await direct.endOffsets(topic)).get(0) ?? 0
    const reader = await direct.openReader([{ topic, partition: 0, fromOffset: 0 }])
    const records: StoredRecord[] = []
    for (let next = 0; next < end; ) {
      const batch = await reader.next()
      records.push(...(batch?.records ?? []))
      next = batch?.nextOffset ?? end
    }
    await reader.close()
    return records
  }
  const one = (text: string) => [{ topic, partition: 0, records: [record(text)] }]

  beforeEach(async () => {
    proxy = await startFaultProxy()
    direct = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'direct' })
    topic = `${freshPrefix()}.hazards`
    await direct.ensureTopics([{ topic, partitions: 1, replication: 1 }])
  })
  afterEach(async () => {
    for (const transport of opened.splice(0)) await transport.close()
    await direct.close()
    await proxy.close()
  })

  test("the proxy bites: kafkajs's own producer acknowledges a record that is not on the log", async () => {
    const kafka = new Kafka({
      brokers: testStack().kafkaBrokers,
      logLevel: logLevel.NOTHING,
      requestTimeout: 400,
      retry: { initialRetryTime: 50, retries: 5 },
      socketFactory: ({ host, port, onConnect }) => proxy.socketFactory({ host, port }).once('connect', onConnect),
    })
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    proxy.add({ apiKey: kafkaApi.produce, action: 'dropReply', count: 1 })
    const send = (text: string) => producer.send({ topic, acks: -1, messages: [{ partition: 0, value: text }] })
    await Promise.all([send('a'), send('b')])
    await producer.disconnect()
    // one took the sequence number of the other: acknowledged as its duplicate, and gone
    expect(new Set(texts(await readAll())).size).toBe(1)
  })

  test('two appends, one lost reply: the second is refused while the first is under way, and the first counts once', async () => {
    const producer = await (await throughProxy()).openProducer()
    proxy.add({ apiKey: kafkaApi.produce, action: 'dropReply', count: 1 })
    const first = producer.append(one('a'))
    await expect(producer.append(one('b'))).rejects.toMatchObject({ code: 'internal' })
    expect(await first).toEqual([{ topic, partition: 0, baseOffset: 0 }])
    expect(await producer.append(one('b'))).toEqual([{ topic, partition: 0, baseOffset: 1 }])
    expect(texts(await readAll())).toEqual(['a', 'b'])
  })

  test('an append after a failed one on the same producer is refused; what failed is on the log or not, never later', async () => {
    // so long that only what is dropped is late, on a busy machine too
    const transport = await throughProxy({ requestTimeoutMs: 2000, deliveryTimeoutMs: 2000 })
    const producer = await transport.openProducer()
    await producer.append(one('before'))
    const lost = proxy.add({ apiKey: kafkaApi.produce, action: 'dropReply' })
    await expect(producer.append(one('in doubt'))).rejects.toMatchObject({ code: 'log_in_doubt', retryable: true })
    expect(lost.hits).toBeGreaterThan(0)
    lost.remove()
    await expect(producer.append(one('after'))).rejects.toMatchObject({ code: 'log_in_doubt' })
    expect(texts(await readAll())).toEqual(['before', 'in doubt'])
  })

  test.each([
    ['a request cut in the middle', 'cutRequest'],
    ['a reply cut in the middle', 'cutReply'],
    ['a late request', 'delayRequest'],
    ['a late reply', 'delayReply'],
  ] as const)('%s: every append is on the log once, at the offset of its receipt', async (_name, action) => {
    const producer = await (await throughProxy()).openProducer()
    proxy.add({ apiKey: kafkaApi.produce, action, count: 3, delayMs: 600 })
    for (let i = 0; i < 5; i++) expect((await producer.append(one(`${i}`)))[0]?.baseOffset).toBe(i)
    expect(texts(await readAll())).toEqual(['0', '1', '2', '3', '4'])
  })

  test('replies lost and connections cut at random: receipts tell the truth, nothing is lost or doubled', async () => {
    const random = new Random(Number(process.env['OMIUM_SPEC_SEED'] ?? 20_260_712))
    const producer = await (await throughProxy({ requestTimeoutMs: 300 })).openProducer()
    const rules = (['dropReply', 'cutRequest', 'cutReply'] as const).map((action) =>
      proxy.add({ apiKey: kafkaApi.produce, action, when: () => random.next() < 0.08 }),
    )
    const expected: string[] = []
    for (let i = 0; i < 60; i++) {
      const batch = Array.from({ length: 1 + (i % 4) }, (_, k) => `${i}.${k}`)
      const [receipt] = await producer.append([{ topic, partition: 0, records: batch.map(record) }])
      expect(receipt?.baseOffset).toBe(expected.length)
      expected.push(...batch)
    }
    expect(rules.reduce((sum, { hits }) => sum + hits, 0)).toBeGreaterThan(5)
    expect(texts(await readAll())).toEqual(expected)
  })

  test('the ghost of an abandoned request takes effect later: both copies are on the log, under one event id', async () => {
    const transport = await throughProxy({ deliveryTimeoutMs: 300 })
    const abandoned = await transport.openProducer()
    // a retry of the same batch would tell its fate: nothing gets through
    proxy.add({ apiKey: kafkaApi.produce, action: 'holdRequest' })
    await expect(abandoned.append(one('evt'))).rejects.toMatchObject({ code: 'log_in_doubt' })
    proxy.clear()
    const successor = await direct.openProducer()
    expect((await successor.append(one('evt')))[0]?.baseOffset).toBe(0)
    await proxy.held[0]?.release()
    expect(texts(await readAll())).toEqual(['evt', 'evt'])
  })

  test('readers go on through lost and cut fetch replies, without a gap', async () => {
    const producer = await direct.openProducer()
    for (let i = 0; i < 20; i++) await producer.append(one(`${i}`))
    const transport = await throughProxy()
    proxy.add({ apiKey: kafkaApi.fetch, action: 'cutReply', count: 2 })
    const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 0 }])
    const seen: StoredRecord[] = []
    while (seen.length < 10) seen.push(...((await reader.next())?.records ?? []))
    proxy.cutAll()
    await producer.append(one('20'))
    while (seen.length < 21) seen.push(...((await reader.next())?.records ?? []))
    expect(seen.map(({ offset }) => offset)).toEqual(Array.from({ length: 21 }, (_, i) => i))
  })

  test("another writer's transactions: its records are seen, its markers are skipped, the end is told", async () => {
    const kafka = new Kafka({ brokers: testStack().kafkaBrokers, logLevel: logLevel.NOTHING })
    const foreign = kafka.producer({ transactionalId: `${topic}.foreign`, idempotent: true, maxInFlightRequests: 1 })
    await foreign.connect()
    const transaction = await foreign.transaction()
    await transaction.send({ topic, messages: [{ partition: 0, value: 'aborted' }] })
    await transaction.abort()
    await foreign.disconnect()
    const producer = await direct.openProducer()
    const [receipt] = await producer.append(one('ours'))
    const records = await readAll()
    expect(records.map(({ offset, value }) => [offset, value?.toString()])).toEqual([
      [0, 'aborted'],
      [receipt?.baseOffset, 'ours'],
    ])
  })
})

describe('without a broker', () => {
  test('connecting fails after a while and says which brokers and what to do', async () => {
    const started = performance.now()
    await expect(connectKafka({ brokers: ['127.0.0.1:1'], clientId: 'nobody' })).rejects.toMatchObject({
      code: 'log_unreachable',
      message: expect.stringMatching(/127\.0\.0\.1:1.*OMIUM_KAFKA_BROKERS/s),
    })
    // after eight seconds, on a machine that has time
    expect(performance.now() - started).toBeLessThan(25_000)
  })
})
