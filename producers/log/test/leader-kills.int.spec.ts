import { type Cluster, eventually, freshPrefix, startBrokers, testStack } from '@omium/dev/testing'
import { type LogContext, openCommandSender } from '@omium/log'
import { eventsTopic } from '@omium/schemas'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deposit, foldLedger, openLedger, openLedgerOwner } from './fixtures/ledger.ts'

/** kill -9 of the brokers that lead, in a loop, under load. `OMIUM_LEADER_KILLS` sets how many. */
const kills = Number(process.env['OMIUM_LEADER_KILLS'] ?? 5)
const partitions = 4

let cluster: Cluster
let context: LogContext
const topicPrefix = freshPrefix()

beforeAll(async () => {
  cluster = await startBrokers(3)
  context = await openLedger(
    {
      brokers: cluster.kafkaBrokers,
      registryUrl: testStack().registryUrl,
      topicPrefix,
      requestTimeoutMs: 3000,
    },
    { partitions, replication: 3, fsync: false },
  )
}, 180_000)
afterAll(async () => {
  await context?.transport.close()
  await cluster?.stop()
}, 60_000)

const timeout = 120_000 + kills * 60_000

test(`${kills} kills of partition leaders under load: every acknowledged deposit exactly once`, {
  timeout,
}, async () => {
  const accepted = new Set<string>()
  const doubted = new Set<string>()
  const owned = new Set<number>()
  const owner = await openLedgerOwner(
    context,
    {
      owned: ({ partition }) => void owned.add(partition),
      accepted: (commandId) => void accepted.add(commandId),
      doubted: (commandId) => void doubted.add(commandId),
      lost: (partition) => void owned.delete(partition),
    },
    { owner: 'survivor', sessionTimeoutMs: 6000 },
  )
  await eventually(() => owned.size === partitions, { timeoutMs: 60_000 })

  const admin = new Kafka({ brokers: cluster.kafkaBrokers, logLevel: logLevel.NOTHING }).admin()
  const leaderOf = async (partition: number): Promise<number> => {
    await admin.connect()
    const topic = eventsTopic(topicPrefix, 'ledger')
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const found = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)
    expect(found?.isr.length).toBe(3)
    return found?.leader ?? -1
  }

  const sender = await openCommandSender(context)
  const acknowledged: string[] = []
  let running = true
  const load = Array.from({ length: 20 }, async (_, lane) => {
    for (let i = 0; running; i++) {
      const id = `cmd-${lane}-${i}`
      // what a client does: the same id again until it is on the log
      for (let sent = false; !sent; ) {
        sent = await sender.send(deposit(id, `a${lane}`)).then(
          () => true,
          () => false,
        )
      }
      acknowledged.push(id)
      await eventually(() => accepted.has(id) || doubted.has(id), { timeoutMs: 60_000, intervalMs: 5 })
    }
  })

  for (let kill = 0; kill < kills; kill++) {
    const leader = await eventually(() => leaderOf(kill % partitions), { timeoutMs: 60_000 })
    const broker = cluster.brokers.find(({ id }) => id === leader)
    await broker?.kill('SIGKILL')
    const before = accepted.size
    await eventually(() => accepted.size >= before + 200, { timeoutMs: 60_000 })
    await broker?.restart()
  }
  running = false
  await Promise.all(load)
  await sender.close()
  // what was in doubt when a partition was lost is decided, too
  await eventually(async () => expect((await foldLedger(context)).deposits.size).toBe(acknowledged.length), {
    timeoutMs: 60_000,
    intervalMs: 500,
  })
  await owner.close()
  await admin.disconnect()

  const { deposits } = await foldLedger(context)
  expect(accepted.size).toBeGreaterThan(kills * 200)
  expect(acknowledged.filter((id) => deposits.get(id) !== 1)).toEqual([])
  expect([...accepted].filter((id) => deposits.get(id) !== 1)).toEqual([])
})
