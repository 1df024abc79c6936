import { eventually, stackSettings } from '@omium/dev/testing'
import { Follower, type Following, systemClock } from '@omium/kit'
import { type LogContext, logSettings, openLog, type SnapshotStore } from '@omium/log'
import { HistoryWriter } from '@omium/log/testing'
import {
  aggregateKey,
  type ExecutionContextEvent,
  eventsTopic,
  executionContext,
  executionOptions,
  readSettings,
} from '@omium/schemas'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { PublicEvent } from '../src/domain/public-events.ts'
import { followEvents } from '../src/follow-events.ts'
import { createHistory } from '../src/history.ts'

/** The past on the real log, from landmarks of a real follower. */
const tenant = 'ten_a'
const notices = { info: () => {}, warn: () => {}, error: () => {} }
let log: LogContext
let writer: HistoryWriter

beforeAll(async () => {
  const env = {
    ...stackSettings(),
    OMIUM_PARTITIONS: '1',
  }
  log = await openLog(readSettings(env, logSettings), {
    definition: executionContext,
    clientId: 'history-spec',
    onNotice: () => undefined,
  })
  writer = await HistoryWriter.open(log, 1)
}, 60_000)
afterAll(async () => {
  await writer?.close()
  await log?.transport.close()
})

const topic = () => eventsTopic(log.topicPrefix, 'execution')
const write = (id: string, ...events: ExecutionContextEvent[]) =>
  writer.write(aggregateKey('execution', tenant, id), events)
const requested = (executionId: string, agentId = 'writer'): ExecutionContextEvent => ({
  type: 'ExecutionRequested',
  data: { executionId, agentId, input: { inline: 1 }, requestHash: 'h', options: executionOptions.parse({}) },
})
const completed: ExecutionContextEvent = { type: 'ExecutionCompleted', data: { attempt: 1, output: { inline: 1 } } }

const inMemory = (): SnapshotStore => {
  const kept = new Map<number, Buffer>()
  return {
    list: async () =>
      [...kept.keys()].toSorted((a, b) => b - a).map((nextOffset) => ({ key: String(nextOffset), nextOffset })),
    load: async (key) => kept.get(Number(key)) ?? Promise.reject(new Error('none')),
    save: async (_topic, _partition, nextOffset, body) => void kept.set(nextOffset, Buffer.from(body)),
    remove: async (key) => void kept.delete(Number(key)),
  }
}

it('is read from a landmark before the time that is asked for, and known in full', async () => {
  const store = inMemory()
  let read = 0
  let reached = 0
  const context: LogContext = {
    ...log,
    transport: {
      ...log.transport,
      openReader: async (requests) => {
        const reader = await log.transport.openReader(requests)
        return {
          next: async () => {
            const batch = await reader.next()
            read += batch?.records.length ?? 0
            reached = batch?.nextOffset ?? reached
            return batch
          },
          close: () => reader.close(),
        }
      },
    },
  }
  const following = {
    ...followEvents({
      log: context,
      commands: { send: async () => undefined },
      endpoints: { current: async () => undefined, of: () => [] },
      clock: systemClock,
    }),
    landmarkEvery: 20,
  }
  const follower = new Follower(0, following as Following, { store, clock: systemClock, notices })
  const followed = async () => {
    const end = (await log.transport.endOffsets(topic())).get(0) ?? 0
    await eventually(() => reached >= end, { timeoutMs: 30_000 })
  }
  await write('long', requested('long', 'patient'))
  for (let n = 0; n < 100; n++) {
    await write(`r${n}`, requested(`r${n}`), completed)
    if (n % 10 === 9) await followed()
  }
  const before = Date.now()
  await eventually(() => Date.now() > before + 1)
  const since = Date.now()
  await write('long', completed)
  for (let n = 0; n < 10; n++) await write(`s${n}`, requested(`s${n}`), completed)
  await followed()
  await follower.close(true)

  const told = async (from: number, to: number) => {
    const events: PublicEvent[] = []
    read = 0
    await createHistory([following], { store, notices }).read(
      tenant,
      from,
      to,
      async (event) => void events.push(event),
    )
    return { events, read }
  }
  const everything = await told(0, Date.now() + 1)
  expect(everything.events).toHaveLength(111)
  expect(everything.read).toBeGreaterThan(222)
  const { events, read: few } = await told(since, Date.now() + 1)
  // how the first one began is known from the landmark
  expect(events.map(({ about }) => about.agent)).toEqual(['patient', ...Array(10).fill('writer')])
  expect(few).toBeLessThan(100)
  expect((await told(0, before)).events.length).toBeGreaterThanOrEqual(99)
}, 60_000)
