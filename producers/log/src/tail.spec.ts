import { createIdSource, OmiumError } from '@omium/schemas'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openCommandSender } from './command-sender.ts'
import type { LogContext, TailBatch, TailRequest } from './contract.ts'
import { createJsonCodec } from './json-codec.ts'
import { partitionFor } from './partitioning.ts'
import { provisionContext } from './provision.ts'
import { accountsContext } from './simulation/accounts.ts'
import { SimulatedLog } from './simulation/log.ts'
import { SimulatedGroups, simulatedTransport } from './simulation/transport.ts'
import { Process, World } from './simulation/world.ts'
import { openTail } from './tail.ts'

const topic = 'sim.accounts.events'
const codec = createJsonCodec(accountsContext)
let world: World
let log: SimulatedLog
let running: Promise<void>
let stopped: boolean
let context: LogContext

const event = (version: number, epoch = 1, data: unknown = { effect: 'e' }) => {
  const identity = { tenant: 't', aggregate: 'a', correlationId: 'c', actor: 'system', time: 0 }
  const type = version === 0 ? 'PartitionClaimed' : 'Noted'
  return codec.encodeEvent({ id: `evt_${epoch}_${version}`, type, schemaVersion: 1, version, epoch, ...identity }, data)
}
const claim = (epoch: number) => event(0, epoch, { owner: 'o' })

const read = async (request: TailRequest, upTo: number): Promise<{ batches: TailBatch[]; versions: number[] }> => {
  const tail = await openTail(context, [request])
  const batches: TailBatch[] = []
  while ((batches.at(-1)?.nextOffset ?? 0) < upTo) {
    const batch = await tail.next()
    if (batch === null) throw new Error('the tail ended')
    batches.push(batch)
  }
  await tail.close()
  expect(await tail.next()).toBeNull()
  return { batches, versions: batches.flatMap((b) => b.events.map((e) => e.envelope.version)) }
}

beforeEach(async () => {
  world = new World(5)
  log = new SimulatedLog(world)
  stopped = false
  running = world.runFreely(() => stopped)
  const process = new Process('p')
  context = {
    transport: simulatedTransport(log, new SimulatedGroups(log), process),
    codec,
    definition: accountsContext,
    topicPrefix: 'sim',
    nowMs: () => world.nowMs,
    ids: createIdSource(
      () => world.nowMs,
      (size) => world.random.bytes(size),
    ),
    timers: {
      after: (delayMs, run) => world.after(delayMs, run, process),
      turn: () => new Promise((resolve) => world.after(0, resolve, process)),
    },
  }
  await provisionContext(context, { partitions: 1, replication: 3, fsync: true })
})
afterEach(async () => {
  stopped = true
  world.wake()
  await running
})

describe('a tail', () => {
  test('a registry that is away delays a batch and loses nothing of it', async () => {
    log.write(topic, 0, [claim(1), event(1), event(2)])
    let failures = 3
    const learn = async () => {
      if (failures-- > 0) throw new OmiumError('unavailable', 'the registry does not answer')
    }
    context = { ...context, codec: { ...codec, learn } }
    const { versions } = await read({ partition: 0, fromOffset: 0 }, 3)
    expect(versions).toEqual([0, 1, 2])
  })

  test('delivers accepted events, and says what it refused and could not decode', async () => {
    const garbage = { key: null, headers: {}, value: Buffer.from('?') }
    log.write(topic, 0, [
      claim(1),
      event(1),
      event(1),
      garbage,
      event(2, 1, { effect: 7 }),
      event(3),
      claim(2),
      event(4),
    ])
    const { batches, versions } = await read({ partition: 0, fromOffset: 0 }, 8)
    expect(versions).toEqual([0, 1, 3, 0])
    expect(batches.flatMap((b) => b.rejected.map((r) => `${r.offset} ${r.reason}`))).toEqual([
      '2 version_mismatch',
      '3 malformed',
      '7 stale_epoch',
    ])
    expect(batches.flatMap((b) => b.deadLetters.map((d) => `${d.source.offset} ${d.code}`))).toEqual([
      '3 record_undecodable',
      '4 record_undecodable',
    ])
  })

  test('starts in the middle with the same verdicts, from a checkpoint or from nothing', async () => {
    log.write(topic, 0, [claim(1), event(1), event(1), event(2)])
    const tail = await openTail(context, [{ partition: 0, fromOffset: 0 }])
    for (let next = 0; next < 4; ) next = (await tail.next())?.nextOffset ?? 4
    const checkpoint = tail.checkpoint(0)
    expect(checkpoint.nextOffset).toBe(4)
    await tail.close()
    log.write(topic, 0, [event(2), event(3)])
    for (const start of [{ checkpoint }, {}, { checkpoint: { ...checkpoint, nextOffset: 4 } }]) {
      expect((await read({ partition: 0, fromOffset: 4, ...start }, 6)).versions).toEqual([3])
    }
    // a checkpoint that lies behind what is wanted cannot be used; the log is folded from its beginning
    expect((await read({ partition: 0, fromOffset: 3, checkpoint }, 6)).versions).toEqual([2, 3])
  })

  test('reads on after the brokers could not be reached', async () => {
    log.faults = { ...log.faults, readFails: 0.5, openFails: 0.5 }
    log.write(topic, 0, [claim(1), ...Array.from({ length: 200 }, (_, i) => event(i + 1))])
    const { versions } = await read({ partition: 0, fromOffset: 0 }, 201)
    expect(versions).toEqual(Array.from({ length: 201 }, (_, i) => i))
  })

  test('an offset that the log does not have is an error, not a guess', async () => {
    const tail = await openTail(context, [{ partition: 0, fromOffset: 0 }])
    await tail.close()
    const fold = {
      nextOffset: 9,
      body: Buffer.from(tail.checkpoint(0).body.toString().replace('"next":0', '"next":9')),
    }
    const beyond = await openTail(context, [{ partition: 0, fromOffset: 9, checkpoint: fold }])
    await expect(beyond.next()).rejects.toMatchObject({ code: 'invalid_request' })
  })

  test('a damaged checkpoint is as good as none: what it would have saved is folded again', async () => {
    log.write(topic, 0, [claim(1), event(1), event(1), event(2)])
    const checkpoint = { nextOffset: 1, body: Buffer.from('{') }
    const { batches, versions } = await read({ partition: 0, fromOffset: 1, checkpoint }, 4)
    expect(versions).toEqual([1, 2])
    expect(batches.flatMap((b) => b.rejected).map((r) => r.offset)).toEqual([2])
  })
})

describe('a command sender', () => {
  const draft = (id: string, type = 'Deposit') => ({
    id,
    type,
    data: { amount: 1 },
    aggregate: 'execution:t/a',
    tenant: 't',
    actor: 'user:u',
    correlationId: 'c',
  })

  test('puts each command on the partition of its aggregate and says where', async () => {
    const sender = await openCommandSender(context)
    const sent = await Promise.all(['cmd_1', 'cmd_2'].map((id) => sender.send(draft(id))))
    expect(sent.map((s) => s.partition)).toEqual([partitionFor('execution:t/a', 1), 0])
    const ids = log.records('sim.accounts.commands', 0).map((r) => codec.commandEnvelope(r)?.id)
    expect(sent.map((s) => ids[s.offset])).toEqual(['cmd_1', 'cmd_2'])
    await sender.close()
    await expect(sender.send(draft('cmd_3'))).rejects.toMatchObject({ code: 'log_unreachable' })
  })

  test('sends again under the same id after an error, and gives up with log_unreachable', async () => {
    const sender = await openCommandSender(context)
    log.faults = { ...log.faults, lostReply: 1 }
    await expect(sender.send(draft('cmd_1'))).rejects.toMatchObject({ code: 'log_unreachable', retryable: true })
    const ids = log.records('sim.accounts.commands', 0).map((r) => codec.commandEnvelope(r)?.id)
    expect(ids).toEqual(Array.from({ length: 8 }, () => 'cmd_1'))
    await sender.close()
  })

  test('refuses a command that the context does not have', async () => {
    const sender = await openCommandSender(context)
    await expect(sender.send(draft('cmd_1', 'Dance'))).rejects.toMatchObject({ code: 'invalid_request' })
  })
})

test('provisioning asks for durable event topics and is repeatable', async () => {
  const asked: unknown[] = []
  const transport = {
    ...context.transport,
    ensureTopics: async (topics: readonly unknown[]) => {
      asked.push(...topics)
    },
  }
  await provisionContext({ ...context, transport }, { partitions: 12, replication: 3, fsync: true })
  await provisionContext(context, { partitions: 1, replication: 3, fsync: true })
  expect(asked).toMatchObject([
    {
      topic,
      partitions: 12,
      config: { 'retention.ms': '-1', 'cleanup.policy': 'delete', 'flush.messages': '1', 'min.insync.replicas': '2' },
    },
    { topic: 'sim.accounts.commands', partitions: 12, config: { 'retention.ms': '604800000' } },
    { topic: 'sim.dead-letters', partitions: 1 },
  ])
})

test('an event that nobody wants is accepted, but neither decoded nor delivered', async () => {
  const garbage = { ...event(2), value: Buffer.from('no JSON') }
  log.write(topic, 0, [claim(1), event(1), garbage, event(3)])
  const tail = await openTail(context, [{ partition: 0, fromOffset: 0 }], { wants: ({ version }) => version === 3 })
  const batch = await tail.next()
  await tail.close()
  expect(batch?.events.map(({ envelope }) => envelope.version)).toEqual([3])
  expect(batch).toMatchObject({ deadLetters: [], rejected: [], nextOffset: 4 })
})
