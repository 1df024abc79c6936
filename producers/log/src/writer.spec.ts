import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AcceptanceFold } from './acceptance.ts'
import { createJsonCodec } from './json-codec.ts'
import { Counters } from './notices.ts'
import { accountsContext } from './simulation/accounts.ts'
import { SimulatedLog } from './simulation/log.ts'
import { SimulatedGroups, simulatedTransport } from './simulation/transport.ts'
import { Process, World } from './simulation/world.ts'
import { LogWriter, type PreparedRecord, type WritablePartition } from './writer.ts'

const topic = 'sim.accounts.events'
const codec = createJsonCodec(accountsContext)

class Target implements WritablePartition {
  readonly fold = new AcceptanceFold()
  readonly foreign: string[] = []
  lost: string | undefined
  readonly partition: number
  readonly epoch: number
  #events = 0
  readonly #versions = new Map<string, number>()

  constructor(partition: number, epoch: number) {
    this.partition = partition
    this.epoch = epoch
  }

  record(type: string, aggregate = 'a', bytes = 1): PreparedRecord {
    const version = type === 'PartitionClaimed' ? 0 : (this.#versions.get(aggregate) ?? 0) + 1
    this.#versions.set(aggregate, version)
    const id = `evt_${this.epoch}_${this.partition}_${++this.#events}`
    const identity = { tenant: 't', aggregate, correlationId: 'c', actor: 'system', time: 0 }
    const envelope = { id, type, schemaVersion: 1, version, epoch: this.epoch, ...identity }
    return { envelope, raw: codec.encodeEvent(envelope, { effect: 'x'.repeat(bytes) }) }
  }

  foldForeign: WritablePartition['foldForeign'] = (record, envelope) => {
    this.foreign.push(envelope?.id ?? 'garbage')
    return this.fold.offer(record.offset, envelope)
  }

  onLost(error: Error): void {
    this.lost = error.message
  }
}

let world: World
let log: SimulatedLog
let running: Promise<void>
let stopped: boolean
let counters: Counters

const openWriter = (options: { maxBatchBytes?: number } = {}) => {
  const process = new Process('writer')
  return new LogWriter({
    transport: simulatedTransport(log, new SimulatedGroups(log), process),
    codec,
    topic,
    timers: {
      after: (delayMs, run) => world.after(delayMs, run, process),
      turn: () => new Promise((resolve) => world.after(0, resolve, process)),
    },
    counters,
    onNotice: () => undefined,
    ...options,
  })
}
const owned = async (writer: LogWriter, partition = 0, epoch = 1): Promise<Target> => {
  const target = new Target(partition, epoch)
  writer.attach(target)
  await writer.append(target, [target.record('PartitionClaimed', 'partition')])
  return target
}
const types = (partition = 0) => log.records(topic, partition).map((r) => codec.eventEnvelope(r)?.type)

beforeEach(() => {
  world = new World(3)
  log = new SimulatedLog(world)
  log.ensureTopics([{ topic, partitions: 2, replication: 1 }])
  counters = new Counters()
  stopped = false
  running = world.runFreely(() => stopped)
})
afterEach(async () => {
  stopped = true
  world.wake()
  await running
})

describe('the writer', () => {
  test('puts what waits, of all partitions, into one request, in order', async () => {
    const writer = openWriter()
    const targets = [await owned(writer, 0), await owned(writer, 1)]
    const before = counters.values['requests'] ?? 0
    const appended = await Promise.all(
      Array.from({ length: 20 }, (_, i) => {
        const target = targets[i % 2] as Target
        return writer.append(target, [target.record('Noted'), target.record('Noted')])
      }),
    )
    expect(counters.values['requests']).toBe(before + 1)
    expect(appended.filter((_, i) => i % 2 === 0).map((a) => a.firstOffset)).toEqual([
      1, 3, 5, 7, 9, 11, 13, 15, 17, 19,
    ])
    expect(targets[1]?.fold.versionOf('a')).toBe(20)
  })

  test('bounds a request by bytes; a larger append goes alone', async () => {
    const writer = openWriter({ maxBatchBytes: 2_000 })
    const target = await owned(writer)
    const before = counters.values['requests'] ?? 0
    await Promise.all(
      [500, 500, 9_000, 500].map((bytes) => writer.append(target, [target.record('Noted', 'a', bytes)])),
    )
    expect((counters.values['requests'] ?? 0) - before).toBe(3)
    expect(target.fold.versionOf('a')).toBe(4)
  })

  test('reads through a gap: a zombie between two of our appends changes nothing', async () => {
    const writer = openWriter()
    const target = await owned(writer)
    const zombie = new Target(0, 0)
    log.write(topic, 0, [zombie.record('Noted', 'z').raw, { key: null, headers: {}, value: null }])
    await expect(writer.append(target, [target.record('Noted')])).resolves.toEqual({ firstOffset: 3, lastOffset: 3 })
    expect(target.foreign).toEqual(['evt_0_0_1', 'garbage'])
    expect(target.fold.rejectedCount).toBe(2)
  })

  test('a lost reply is resolved by reading: acknowledged once, written once', async () => {
    const writer = openWriter()
    const target = await owned(writer)
    log.faults = { ...log.faults, lostReply: 1 }
    await expect(writer.append(target, [target.record('Noted')])).resolves.toEqual({ firstOffset: 1, lastOffset: 1 })
    expect(types()).toEqual(['PartitionClaimed', 'Noted'])
    expect(counters.values['doubts']).toBe(1)
  })

  test('a lost request is sent again with the same ids; a late ghost of the first is refused', async () => {
    const writer = openWriter()
    const target = await owned(writer)
    log.faults = { ...log.faults, ghost: 1, maxDelayMs: 2 }
    const record = target.record('Noted')
    const appended = writer.append(target, [record])
    while ((counters.values['doubts'] ?? 0) === 0) await new Promise((resolve) => setImmediate(resolve))
    log.faults = { ...log.faults, ghost: 0 }
    const { firstOffset } = await appended
    while (log.records(topic, 0).length < 3) await new Promise((resolve) => setImmediate(resolve))
    const ids = log.records(topic, 0).map((r) => codec.eventEnvelope(r)?.id)
    expect(ids.slice(1)).toEqual([record.envelope.id, record.envelope.id])
    expect(firstOffset).toBe(1)
    await writer.append(target, [target.record('Noted')])
    expect(target.fold.versionOf('a')).toBe(2)
    expect(target.fold.rejectedCount).toBe(1)
  })

  test('a newer claim loses the partition: everything that waits is fenced, the other partitions go on', async () => {
    const writer = openWriter()
    const target = await owned(writer, 0)
    const other = await owned(writer, 1)
    log.write(topic, 0, [new Target(0, 2).record('PartitionClaimed', 'partition').raw])
    const fenced = [writer.append(target, [target.record('Noted')]), writer.append(target, [target.record('Noted')])]
    for (const append of fenced) await expect(append).rejects.toMatchObject({ code: 'log_fenced' })
    expect(target.lost).toContain('epoch 2')
    await expect(writer.append(other, [other.record('Noted')])).resolves.toBeDefined()
    await expect(writer.append(target, [target.record('Noted')])).rejects.toMatchObject({ code: 'log_fenced' })
  })

  test('a partition whose leader is away waits; the others do not', async () => {
    const writer = openWriter()
    const target = await owned(writer, 0)
    const other = await owned(writer, 1)
    log.loseLeader(topic, 0, Number.POSITIVE_INFINITY)
    let settled = false
    const waiting = writer.append(target, [target.record('Noted')]).then(() => {
      settled = true
    })
    for (let i = 0; i < 5; i++) await writer.append(other, [other.record('Noted')])
    expect(settled).toBe(false)
    log.loseLeader(topic, 0, 0)
    await waiting
    expect(types()).toEqual(['PartitionClaimed', 'Noted'])
  })

  test('a record that the fold refuses without a newer claim gives the partition up instead of guessing', async () => {
    const writer = openWriter()
    const target = await owned(writer)
    const skipped = { ...target.record('Noted'), envelope: { ...target.record('Noted').envelope, version: 7 } }
    await expect(writer.append(target, [skipped])).rejects.toMatchObject({ code: 'log_fenced' })
    expect(counters.values['violations']).toBe(1)
    expect(target.lost).toContain('version_mismatch')
  })

  test('giving a partition up rejects what waits, also in doubt', async () => {
    const writer = openWriter()
    const target = await owned(writer)
    log.faults = { ...log.faults, lostRequest: 1 }
    const waiting = writer.append(target, [target.record('Noted')])
    while ((counters.values['doubts'] ?? 0) < 2) await new Promise((resolve) => setImmediate(resolve))
    const drained = writer.drained(target)
    writer.detach(target)
    await expect(waiting).rejects.toMatchObject({ code: 'log_fenced' })
    await drained
    await writer.close()
  })
})
