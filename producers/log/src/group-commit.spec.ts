import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GroupCommit } from './group-commit.ts'
import { maxAppendBytes } from './record-size.ts'
import { SimulatedLog } from './simulation/log.ts'
import { SimulatedGroups, simulatedTransport } from './simulation/transport.ts'
import { Process, World } from './simulation/world.ts'
import type { RawRecord } from './transport.ts'

let world: World
let log: SimulatedLog
let running: Promise<void>
let stopped: boolean
let commits: GroupCommit

const record = (bytes: number): RawRecord => ({ key: 'k', headers: {}, value: Buffer.alloc(bytes) })

beforeEach(() => {
  world = new World(5)
  log = new SimulatedLog(world)
  log.ensureTopics([{ topic: 't', partitions: 2, replication: 1 }])
  stopped = false
  running = world.runFreely(() => stopped)
  const process = new Process('p')
  commits = new GroupCommit({
    transport: simulatedTransport(log, new SimulatedGroups(log), process),
    timers: {
      after: (delayMs, run) => world.after(delayMs, run, process),
      turn: () => new Promise((resolve) => world.after(0, resolve, process)),
    },
    maxAttempts: 1_000,
  })
})
afterEach(async () => {
  await commits.close()
  stopped = true
  world.wake()
  await running
})

describe('sending many records', () => {
  test('never puts more of a partition into one request than the log takes', async () => {
    log.maxBatchBytes = 1_500_000
    const offsets = await Promise.all(Array.from({ length: 40 }, () => commits.send('t', 0, record(100_000))))
    expect(offsets).toEqual(Array.from({ length: 40 }, (_, i) => i))
  })

  test('a record that the log refuses for its size fails alone, at once', async () => {
    log.maxBatchBytes = 50_000
    const sent = await Promise.allSettled([10, 60_000, 20].map((bytes) => commits.send('t', 0, record(bytes))))
    expect(sent.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(sent[1]).toMatchObject({ reason: { code: 'payload_too_large' } })
    expect(log.records('t', 0)).toHaveLength(2)
  })

  test('closing with a bound gives up what the log does not take in time', async () => {
    log.loseLeader('t', 0, 1_000_000)
    const sent = commits.send('t', 0, record(1))
    sent.catch(() => undefined)
    const started = world.nowMs
    await commits.close(100)
    expect(world.nowMs - started).toBeLessThan(200)
    await expect(sent).rejects.toMatchObject({ code: 'log_unreachable' })
  })

  test('a record sent in reaction to an outcome goes out, too', async () => {
    const second = commits.send('t', 0, record(1)).then(() => commits.send('t', 0, record(1)))
    expect(await second).toBe(1)
  })

  test('a record that no log would take is not sent', async () => {
    await expect(commits.send('t', 0, record(maxAppendBytes))).rejects.toMatchObject({ code: 'payload_too_large' })
    expect(log.records('t', 0)).toHaveLength(0)
  })
})
