import { eventually, freshPrefix, testStack } from '@omium/dev/testing'
import { type Notices, systemClock } from '@omium/kit'
import { connectKafka, type LogTransport } from '@omium/log'
import { eventsTopic, type JsonValue, tenantTopic } from '@omium/schemas'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createFollowTopic } from '../src/follow-topic.ts'

/** Topics of tenants on the real log. */
const topicPrefix = freshPrefix()
const warnings: unknown[] = []
const note = (fields: unknown): void => void warnings.push(fields)
const notices: Notices = { info: note, warn: note, error: note }
const followed: { close(): Promise<void> }[] = []
let transport: LogTransport

beforeAll(async () => {
  transport = await connectKafka({ brokers: testStack().kafkaBrokers, clientId: 'spec' })
})
afterAll(async () => {
  await Promise.all(followed.map((one) => one.close()))
  await transport.close()
})

const begun = Date.now()
const follow = (tenant: string, name: string) => {
  const seen: JsonValue[] = []
  followed.push(
    createFollowTopic({ log: { transport, topicPrefix }, clock: systemClock, notices })(
      { tenant, name },
      { positions: {}, sinceMs: begun },
      { onStart: async () => {}, onEvent: async ({ event }) => void seen.push(event) },
    ),
  )
  return { seen }
}

it('takes what a topic has from a moment on, and goes on where it was', async () => {
  const topic = tenantTopic(topicPrefix, 'ten_a', 'prices')
  await transport.ensureTopics([{ topic, partitions: 1, replication: 1 }])
  const producer = await transport.openProducer()
  const append = async (text: string) => {
    await producer.append([{ topic, partition: 0, records: [{ key: null, headers: {}, value: Buffer.from(text) }] }])
  }
  const from = async (start: { positions: Record<string, number>; sinceMs: number }, count: number) => {
    const seen: unknown[] = []
    const began: unknown[] = []
    const following = createFollowTopic({ log: { transport, topicPrefix }, clock: systemClock, notices })(
      { tenant: 'ten_a', name: 'prices' },
      start,
      {
        onStart: async (positions) => void began.push(positions),
        onEvent: async ({ event }) => void seen.push((event as { value: unknown }).value),
      },
    )
    await eventually(() => seen.length >= count && began.length + Object.keys(start.positions).length > 0, {
      timeoutMs: 30_000,
    })
    await following.close()
    return { seen, began }
  }
  await append('1')
  const [stored] = await readOne(topic)
  const after = (stored?.timestamp ?? 0) + 1
  await eventually(() => Date.now() > after)
  await append('2')
  expect(await from({ positions: {}, sinceMs: after }, 1)).toEqual({ seen: [2], began: [{ '0': 1 }] })
  expect(await from({ positions: {}, sinceMs: Date.now() + 60_000 }, 0)).toEqual({ seen: [], began: [{ '0': 2 }] })
  expect(await from({ positions: { '0': 0 }, sinceMs: after }, 2)).toEqual({ seen: [1, 2], began: [] })
  await producer.close()
})

const readOne = async (topic: string) => {
  const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 0 }])
  const batch = await reader.next()
  await reader.close()
  return batch?.records ?? []
}

it('follows topics of one tenant only, whatever the tenant is called and whatever it asks for', async () => {
  const platform = eventsTopic(topicPrefix, 'workflow')
  const own = tenantTopic(topicPrefix, topicPrefix, 'workflow.events')
  const foreign = tenantTopic(topicPrefix, 'ten_a', 'orders')
  const topics = [platform, foreign, `ten_a.${topicPrefix}.orders`, 'workflow.events']
  // called like the prefix of the platform's topics
  const hostile = [...topics, '.', 'tenants.ten_a.orders'].map((name) => follow(topicPrefix, name))
  const climbing = follow(`x.${topicPrefix}`, 'orders')
  const spy = follow(topicPrefix, 'workflow.events')
  const honest = follow('ten_a', 'orders')
  // topics that come later are followed then, however many never come
  await eventually(() => warnings.length >= 2 * followed.length, { timeoutMs: 60_000 })
  await transport.ensureTopics([platform, own, foreign].map((topic) => ({ topic, partitions: 1, replication: 1 })))
  const producer = await transport.openProducer()
  const append = (topic: string, text: string) =>
    producer.append([{ topic, partition: 0, records: [{ key: null, headers: {}, value: Buffer.from(text) }] }])
  await append(platform, '"of the platform"')
  await append(foreign, '"of ten_a"')
  await append(own, '"of the hostile one"')
  await eventually(() => spy.seen.length > 0 && honest.seen.length > 0, { timeoutMs: 30_000 })
  await producer.close()
  expect(spy.seen).toMatchObject([{ topic: 'workflow.events', value: 'of the hostile one' }])
  expect(honest.seen).toMatchObject([{ topic: 'orders', value: 'of ten_a' }])
  expect([...hostile.slice(0, 3), ...hostile.slice(4), climbing].flatMap(({ seen }) => seen)).toEqual([])
})
