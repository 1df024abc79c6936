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

const follow = (tenant: string, name: string) => {
  const seen: JsonValue[] = []
  let started = false
  followed.push(
    createFollowTopic({ log: { transport, topicPrefix }, clock: systemClock, notices })({ tenant, name }, null, {
      onStart: async () => {
        started = true
      },
      onEvent: async ({ event }) => void seen.push(event),
    }),
  )
  return { seen, started: () => started }
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
  await eventually(() => spy.started() && honest.started(), { timeoutMs: 30_000 })
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
