import { eventually, freshPrefix, spawnService, testStack } from '@omium/dev/testing'
import { type ContextOwner, type LogContext, openCommandSender, openTail } from '@omium/log'
import { type FaultProxy, kafkaApi, Random, startFaultProxy } from '@omium/log/testing'
import { commandsTopic, deadLettersTopic, eventsTopic } from '@omium/schemas'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { deposit, foldLedger, openLedger, openLedgerOwner } from './fixtures/ledger.ts'

const seed = Number(process.env['OMIUM_SPEC_SEED'] ?? 20_260_712)
/** of owners that are to keep what they own, however long a busy machine makes them stand still, ms */
const sessionTimeoutMs = 30_000
/** of the one that is stopped past it, ms */
const shortSessionMs = 1500
const partitions = 4

describe(`an owner on real brokers (seed ${seed})`, { timeout: 120_000 }, () => {
  let proxy: FaultProxy
  let direct: LogContext
  let hurt: LogContext
  let topicPrefix: string
  const owners: ContextOwner[] = []

  /** Owns everything through the proxy; resolves when all partitions are owned. */
  const own = async (context: LogContext, owner: string) => {
    const accepted: string[] = []
    const owned = new Set<number>()
    const opened = await openLedgerOwner(
      context,
      {
        owned: ({ partition }) => void owned.add(partition),
        accepted: (commandId) => void accepted.push(commandId),
        lost: (partition) => void owned.delete(partition),
      },
      { owner, sessionTimeoutMs },
    )
    owners.push(opened)
    await eventually(() => owned.size === partitions)
    return { accepted, owned, counters: opened.counters }
  }
  const sendAll = async (from: number, count: number) => {
    const sender = await openCommandSender(direct)
    const ids = Array.from({ length: count }, (_, i) => `cmd-${from + i}`)
    await Promise.all(ids.map((id, i) => sender.send(deposit(id, `a${(from + i) % 50}`))))
    await sender.close()
    return ids
  }
  const untilDeposits = (count: number) =>
    eventually(async () => expect((await foldLedger(direct)).deposits.size).toBe(count), { intervalMs: 200 })
  const onceEach = (ids: readonly string[]) => new Map(ids.map((id) => [id, 1]))

  beforeEach(async () => {
    proxy = await startFaultProxy()
    topicPrefix = freshPrefix()
    const { kafkaBrokers: brokers, registryUrl } = testStack()
    direct = await openLedger({ brokers, registryUrl, topicPrefix })
    hurt = await openLedger({
      brokers,
      registryUrl,
      topicPrefix,
      socketFactory: proxy.socketFactory,
      requestTimeoutMs: 300,
      deliveryTimeoutMs: 300,
    })
  })
  afterEach(async () => {
    proxy.clear()
    for (const owner of owners.splice(0)) await owner.close()
    await direct.transport.close()
    await hurt.transport.close()
    await proxy.close()
  })

  test('produce replies lost and connections cut at random under load: every deposit once, none lost', async () => {
    const random = new Random(seed)
    const { accepted, counters } = await own(hurt, 'hurt')
    const rules = (['dropReply', 'cutRequest', 'cutReply'] as const).map((action) =>
      proxy.add({ apiKey: kafkaApi.produce, action, when: () => random.chance(0.12) }),
    )
    const ids: string[] = []
    for (let wave = 0; wave < 60; wave++) {
      ids.push(...(await sendAll(ids.length, 10)))
      await eventually(() => accepted.length >= ids.length - 20, { timeoutMs: 60_000 })
    }
    await eventually(() => new Set(accepted).size === ids.length, { timeoutMs: 60_000 })
    expect(rules.reduce((sum, { hits }) => sum + hits, 0)).toBeGreaterThan(3)
    const { deposits } = await foldLedger(direct)
    expect(deposits).toEqual(onceEach(ids))
    expect(counters['doubts'] ?? 0).toBeGreaterThan(0)
  })

  test('a ghost: a request held on its way takes effect after its records were appended again', async () => {
    const { accepted, counters } = await own(hurt, 'haunted')
    const before = await sendAll(0, 20)
    await eventually(() => accepted.length === before.length)
    // a slow broker is enough for a doubt
    const doubts = counters['doubts'] ?? 0
    // the first request and its repetitions hang, until the producer is given up
    proxy.add({ apiKey: kafkaApi.produce, action: 'holdRequest' })
    const during = await sendAll(before.length, 20)
    await eventually(() => proxy.held.length > 0 && (counters['doubts'] ?? 0) > doubts)
    proxy.clear()
    await eventually(() => accepted.length === before.length + during.length)
    await Promise.all(proxy.held.map((ghost) => ghost.release()))
    const after = await sendAll(before.length + during.length, 20)
    await eventually(() => accepted.length === 60)
    const { deposits, rejected } = await foldLedger(direct)
    expect(deposits).toEqual(onceEach([...before, ...during, ...after]))
    expect(rejected.get('version_mismatch') ?? 0).toBeGreaterThan(0)
  })

  test('a zombie: stopped past its session, fenced by a successor, it wakes and writes; every reader refuses it', async () => {
    const { kafkaBrokers, registryUrl } = testStack()
    const zombie = await spawnService(
      'producers/log/test/fixtures/ledger-owner.ts',
      {
        BROKERS: kafkaBrokers.join(','),
        REGISTRY_URL: registryUrl,
        TOPIC_PREFIX: topicPrefix,
        SESSION_TIMEOUT_MS: String(shortSessionMs),
        PROXY_PORT: String(proxy.port),
      },
      { readyLine: /"joined"/ },
    )
    const lines = () =>
      zombie
        .output()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    const first = await sendAll(0, 100)
    // as the log tells it: what it recorded in doubt and lost, it never heard of
    await untilDeposits(first.length)
    // its last requests are on the way when it stops; they arrive after the successor's claim
    proxy.add({ apiKey: kafkaApi.produce, action: 'holdRequest' })
    await eventually(() => {
      if (proxy.held.length === 0) throw new Error(`it wrote nothing; its last words:\n${zombie.output().slice(-2000)}`)
    })
    zombie.pause()
    proxy.clear()

    const stoppedMs = performance.now()
    const { accepted } = await own(direct, 'successor')
    const takeoverMs = performance.now() - stoppedMs
    const second = await sendAll(first.length, 100)
    await eventually(() => accepted.length >= second.length)
    await Promise.all(proxy.held.map((request) => request.release()))
    zombie.resume()
    // it finds out by itself that it was fenced: what it wrote is refused, and it gives its partitions up
    await eventually(() => expect(lines().map(({ what }) => what)).toContain('lost'))
    await zombie.kill()
    const third = await sendAll(first.length + second.length, 50)
    await untilDeposits(250)
    const { deposits, rejected } = await foldLedger(direct)
    expect(deposits).toEqual(onceEach([...first, ...second, ...third]))
    expect(rejected.get('stale_epoch') ?? 0).toBeGreaterThan(0)
    expect(takeoverMs).toBeLessThan(shortSessionMs + 20_000)
  })

  test('garbage on the topics: dead letters and rejections, and everything else goes on', async () => {
    const { accepted } = await own(direct, 'tidy')
    const producer = await direct.transport.openProducer()
    const garbage = [
      { key: null, headers: {}, value: null },
      { key: 'k', headers: {}, value: Buffer.from('not json') },
      { key: 'k', headers: { type: 'Deposit', envelope: '{' }, value: Buffer.from([0, 0, 0, 0, 1, 123]) },
      {
        key: 'account:t/x',
        headers: direct.codec.encodeCommand(commandEnvelope('bad-1'), {}).headers,
        value: Buffer.from([1, 2]),
      },
      direct.codec.encodeCommand(commandEnvelope('bad-2'), { amount: 'much' }),
    ]
    await producer.append([{ topic: commandsTopic(topicPrefix, 'ledger'), partition: 0, records: garbage }])
    const malformed = garbage.slice(0, 3)
    await producer.append([{ topic: eventsTopic(topicPrefix, 'ledger'), partition: 1, records: malformed }])
    await producer.close()
    const ids = await sendAll(0, 100)
    await eventually(() => ids.every((id) => accepted.includes(id)))
    await eventually(async () =>
      expect((await direct.transport.endOffsets(deadLettersTopic(topicPrefix))).get(0)).toBe(
        garbage.length + malformed.length,
      ),
    )
    const { deposits, rejected } = await foldLedger(direct)
    expect(deposits).toEqual(onceEach(ids))
    expect(rejected.get('malformed')).toBe(malformed.length)
    const tail = await openTail(direct, [{ partition: 1, fromOffset: 0 }])
    const batch = await tail.next()
    expect(batch?.events.length).toBeGreaterThan(0)
    await tail.close()
  })
})

const commandEnvelope = (id: string) => ({
  id,
  type: 'Deposit',
  schemaVersion: 1,
  tenant: 't',
  aggregate: 'account:t/x',
  correlationId: id,
  actor: 'system',
  time: 1_700_000_000_000,
})
