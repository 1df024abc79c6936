import { eventually, freshPrefix, testStack } from '@omium/dev/testing'
import { connectKafka, type GroupMember, type LogTransport } from '@omium/log'
import { type FaultProxy, kafkaApi, startFaultProxy } from '@omium/log/testing'
import type { OmiumError } from '@omium/schemas'
import { Kafka, logLevel } from 'kafkajs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

describe('reading from Kafka', () => {
  let proxy: FaultProxy
  let log: LogTransport
  let topic: string

  const append = async (count: number, value: Buffer) => {
    const producer = await log.openProducer()
    for (let done = 0; done < count; done += 100) {
      const records = Array.from({ length: Math.min(100, count - done) }, () => ({ key: null, headers: {}, value }))
      await producer.append([{ topic, partition: 0, records }])
    }
    await producer.close()
  }
  const truncate = async (beforeOffset: number) => {
    const admin = new Kafka({ brokers: testStack().kafkaBrokers, logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    await admin.fetchTopicOffsets(topic) // it forgets to learn the topic's leaders itself
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(beforeOffset) }] })
    await admin.disconnect()
  }

  beforeEach(async () => {
    proxy = await startFaultProxy()
    topic = `${freshPrefix()}.reading`
    log = await connectKafka({
      brokers: testStack().kafkaBrokers,
      clientId: 'reading',
      socketFactory: proxy.socketFactory,
      readAheadBytes: 1024 * 1024,
    })
    await log.ensureTopics([{ topic, partitions: 1, replication: 1 }])
  })
  afterEach(async () => {
    await log.close()
    await proxy.close()
  })

  test('a consumer that is slow stops the fetching; nothing is skipped', async () => {
    const count = 3000
    await append(count, Buffer.alloc(10_000)) // 30 MB, in fetches of 2 MB
    const reader = await log.openReader([{ topic, partition: 0, fromOffset: 0 }])
    const fetches = proxy.add({ apiKey: kafkaApi.fetch, action: 'delayReply', delayMs: 0 })
    // other partitions' traffic passes time here: a reader that fetched on would have had all 30 MB by then
    const other = `${topic}.other`
    await log.ensureTopics([{ topic: other, partitions: 1, replication: 1 }])
    const producer = await log.openProducer()
    for (let i = 0; i < 100; i++) {
      await producer.append([{ topic: other, partition: 0, records: [{ key: null, headers: {}, value: null }] }])
    }
    expect(fetches.hits).toBeGreaterThan(0)
    expect(fetches.hits).toBeLessThan(4)
    const offsets: number[] = []
    while (offsets.length < count) offsets.push(...((await reader.next())?.records ?? []).map(({ offset }) => offset))
    expect(offsets).toEqual(Array.from({ length: count }, (_, i) => i))
  })

  test('records that were deleted under a reader are an error, never a jump', async () => {
    await append(100, Buffer.from('x'))
    await truncate(50)
    const reader = await log.openReader([{ topic, partition: 0, fromOffset: 10 }])
    await expect(reader.next()).rejects.toMatchObject({ code: 'log_truncated' })
    await expect(reader.next()).rejects.toMatchObject({ code: 'log_truncated' })
  })

  test("a member whose committed offset was deleted halts and says so; it goes on after 'seek'", async () => {
    await append(100, Buffer.from('x'))
    const request = {
      groupId: `${topic}.group`,
      topics: [topic],
      sessionTimeoutMs: 30_000,
      onLost: () => {},
    }
    let assigned = false
    const onAssigned = () => {
      assigned = true
    }
    const first = await log.joinGroup({ ...request, onBatch: () => {}, onAssigned })
    await eventually(() => assigned)
    await first.commit(topic, 0, 10)
    await first.leave()
    await truncate(50)

    const seen: number[] = []
    let halted: OmiumError | undefined
    const second = await log.joinGroup({
      ...request,
      onAssigned: () => {},
      onBatch: ({ records }) => void seen.push(...records.map(({ offset }) => offset)),
      onHalted: (_topic, _partition, error) => {
        halted = error
      },
    })
    await eventually(() => halted !== undefined)
    expect(halted?.code).toBe('log_truncated')
    expect(seen).toEqual([])
    second.seek(topic, 0, 50)
    await eventually(() => seen.length === 50)
    expect(seen[0]).toBe(50)
    await second.leave()
  })

  test('heartbeats go on while a handler works, for longer than a session', async () => {
    await append(1, Buffer.from('x'))
    let lost = 0
    let member: GroupMember | undefined
    let finish: () => void = () => {}
    let beats = 0
    const rule = proxy.add({ apiKey: kafkaApi.heartbeat, action: 'delayReply', delayMs: 0, when: () => ++beats > 0 })
    const joined = await log.joinGroup({
      groupId: `${topic}.slow`,
      topics: [topic],
      // a busy machine may stand still for a second or two, and may fall out of the group for that
      sessionTimeoutMs: 5000,
      onAssigned: (_partitions, assigned) => {
        member = assigned
      },
      onBatch: () =>
        new Promise<void>((resolve) => {
          finish = resolve
        }),
      onLost: () => {
        lost++
      },
    })
    // one every second: after eight, more than a session has gone by
    await eventually(() => rule.hits >= 8)
    finish()
    await member?.commit(topic, 0, 1)
    expect(await joined.committed(topic, 0)).toBe(1)
    expect(lost).toBe(0)
    await joined.leave()
  })
})
