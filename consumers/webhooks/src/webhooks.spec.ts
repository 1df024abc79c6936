import type { Clock } from '@omium/kit'
import { commandTo, MemoryPartition, silent, turns } from '@omium/kit/testing'
import type { WebhookEndpointCommand, WebhookMessage } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { aggregate, deliver, now, spec, tenant } from '../test/given.ts'
import type { Outcome } from './domain/attempt.ts'
import type { PublicEvent } from './domain/public-events.ts'
import { type PartitionState, webhookMachine } from './machine.ts'
import { Webhooks } from './webhooks.ts'

/** Time that only a spec moves. */
const scriptedClock = () => {
  let nowMs = now
  let timers: { at: number; run: () => void }[] = []
  const clock: Clock = {
    nowMs: () => nowMs,
    after: (delayMs, run) => {
      const timer = { at: nowMs + delayMs, run }
      timers.push(timer)
      return () => {
        timers = timers.filter((other) => other !== timer)
      }
    },
  }
  const pass = async (ms: number) => {
    nowMs += ms
    for (const timer of timers.filter(({ at }) => at <= nowMs)) {
      timers = timers.filter((other) => other !== timer)
      timer.run()
    }
    await turns()
  }
  return { clock, pass }
}

const keepMs = 30 * 86_400_000

interface WorldOptions {
  readonly partition?: MemoryPartition<PartitionState>
  readonly past?: readonly PublicEvent[]
}

const world = ({ partition: given, past = [] }: WorldOptions = {}) => {
  const { clock, pass } = scriptedClock()
  const partition = given ?? new MemoryPartition(webhookMachine, { nowMs: clock.nowMs })
  const sent: { message: WebhookMessage; url: string; answer: (outcome: Partial<Outcome>) => Promise<void> }[] = []
  const webhooks = new Webhooks({
    sender: {
      attempt: (endpoint, message) =>
        new Promise((resolve) => {
          const answer = async (outcome: Partial<Outcome>) => {
            resolve({ at: clock.nowMs(), tookMs: 1, ...outcome })
            await turns()
          }
          sent.push({ message, url: endpoint.spec.url, answer })
        }),
    },
    rules: { delaysMs: [1000, 1000], disableAfterMs: 86_400_000 },
    keepMs,
    history: {
      read: async (_tenant, from, to, take) => {
        for (const event of past) if (event.time >= from && event.time < to) await take(event)
      },
    },
    clock,
    notices: silent,
    measures: { attempted() {} },
    random: () => 0.5,
  })
  webhooks.owned(partition)
  const tell = async (command: WebhookEndpointCommand, to = aggregate, own = tenant) => {
    await webhooks.command(partition, commandTo(to, command, { tenant: own, time: clock.nowMs() }))
    await turns()
  }
  const create = (to = aggregate) =>
    tell({ type: 'CreateWebhookEndpoint', data: { spec: { ...spec, url: `https://${to}` }, secretId: 's' } }, to)
  return { partition, webhooks, sent, tell, create, pass }
}
const idsOf = (sent: readonly { message: WebhookMessage }[]) => sent.map(({ message: { id } }) => id)

describe('webhooks', () => {
  it('are sent once they are accepted, and again until they are delivered', async () => {
    const { partition, sent, tell, create, pass } = world()
    await create()
    partition.automatic = false
    const told = tell(deliver())
    await turns()
    expect(sent).toHaveLength(0)
    partition.automatic = true
    partition.accept()
    await told
    expect(idsOf(sent)).toEqual(['msg_1'])
    await sent[0]?.answer({ status: 500 })
    await pass(999)
    expect(sent).toHaveLength(1)
    await pass(2)
    expect(idsOf(sent)).toEqual(['msg_1', 'msg_1'])
    await sent[1]?.answer({ status: 200 })
    await pass(60_000)
    expect(sent).toHaveLength(2)
    expect(partition.typesOf(aggregate).filter((type) => type === 'WebhookDeliveryAttempted')).toHaveLength(2)
    expect(partition.state.endpoints.get(aggregate)?.pending.size).toBe(0)
  })

  it('of a process that died before it recorded the answer are sent again by the next', async () => {
    const first = world()
    await first.create()
    await first.tell(deliver())
    expect(first.sent).toHaveLength(1)
    first.partition.live = false
    first.webhooks.lost(0)
    await first.sent[0]?.answer({ status: 200 })
    const { log } = first.partition
    const partition = new MemoryPartition(webhookMachine, { nowMs: () => now, history: log, epoch: 2 })
    const second = world({ partition })
    await turns()
    expect(idsOf(second.sent)).toEqual(['msg_1'])
    await second.sent[0]?.answer({ status: 200 })
    expect(partition.typesOf(aggregate).at(-1)).toBe('WebhookDeliveryAttempted')
    // and the same from a snapshot
    const encoded = JSON.parse(JSON.stringify(webhookMachine.encode(partition.state)))
    expect(webhookMachine.decode(encoded)).toEqual(partition.state)
  })

  it('to one endpoint go so many at a time, and hold up no other', async () => {
    const other = 'webhook_endpoint:ten_a/whk_2'
    const { sent, tell, create } = world()
    await create()
    await create(other)
    for (let n = 0; n < 12; n++) await tell(deliver(`m${n}`))
    await tell(deliver('m0'), other)
    expect(idsOf(sent.filter(({ url }) => url.endsWith('whk_1')))).toEqual(Array.from({ length: 8 }, (_, n) => `m${n}`))
    expect(sent.filter(({ url }) => url.endsWith('whk_2'))).toHaveLength(1)
    await sent[3]?.answer({ status: 200 })
    expect(idsOf(sent).at(-1)).toBe('m8')
  })

  it('that wait are given up when the endpoint is disabled, and nothing comes of a late answer', async () => {
    const { partition, sent, tell, create, pass } = world()
    await create()
    await tell(deliver())
    await tell({ type: 'DisableWebhookEndpoint', data: {} })
    await sent[0]?.answer({ status: 500 })
    await pass(10_000)
    expect(sent).toHaveLength(1)
    expect(partition.typesOf(aggregate)).not.toContain('WebhookDeliveryAttempted')
    await tell({ type: 'RemoveWebhookEndpoint', data: {} })
    expect(partition.log.at(-1)?.envelope.closes).toBe(true)
    expect(partition.state.endpoints.size).toBe(0)
  })

  it('that ended are forgotten in time, also by the next owner; what waits is not', async () => {
    const first = world()
    await first.create()
    await first.tell(deliver('one'))
    await first.sent[0]?.answer({ status: 200 })
    await first.tell(deliver('two'))
    first.partition.fence()
    first.webhooks.lost(0)
    const partition = new MemoryPartition(webhookMachine, {
      nowMs: () => now + keepMs,
      history: first.partition.log,
      epoch: 2,
    })
    const second = world({ partition })
    await second.pass(keepMs)
    expect(partition.typesOf(aggregate)).not.toContain('WebhookDeliveriesForgotten')
    await second.pass(86_400_000)
    expect(partition.log.at(-1)).toMatchObject({
      type: 'WebhookDeliveriesForgotten',
      data: { before: now + 86_400_000 },
    })
    expect(partition.state.endpoints.get(aggregate)).toMatchObject({ ended: undefined, pending: { size: 1 } })
    await second.pass(2 * keepMs)
    expect(partition.typesOf(aggregate).filter((type) => type === 'WebhookDeliveriesForgotten')).toHaveLength(1)
  })

  it('are replayed from the past, under ids that do not change', async () => {
    const event = (n: number): PublicEvent => ({
      eventId: `evt_${n}`,
      type: n === 3 ? 'execution.cancelled' : 'execution.completed',
      tenant,
      time: now - 100 + n,
      about: {},
      data: { executionId: `r${n}` },
    })
    const { partition, tell, create } = world({ past: [1, 2, 3, 4].map(event) })
    await create()
    const replay = (replayId: string) =>
      tell({ type: 'ReplayWebhook', data: { replayId, range: { from: now - 99, to: now - 96 } } })
    await replay('r1')
    await turns()
    expect(partition.sent.map(({ data }) => (data as { message: WebhookMessage }).message.body)).toEqual([
      expect.stringContaining('r1'),
      expect.stringContaining('r2'),
    ])
    expect(partition.log.at(-1)).toMatchObject({ type: 'WebhookReplayFinished', data: { replayId: 'r1', found: 2 } })
    await replay('r2')
    await turns()
    const ids = partition.sent.map(({ id, data }) => [id, (data as { message: WebhookMessage }).message.id])
    expect(ids[2]?.[0]).not.toBe(ids[0]?.[0])
    expect(ids[2]?.[1]).toBe(ids[0]?.[1])
  })

  it('of another tenant are touched by nobody', async () => {
    const { partition, tell, create } = world()
    await create()
    await tell({ type: 'RemoveWebhookEndpoint', data: {} }, aggregate, 'ten_b')
    expect(partition.log.at(-1)).toMatchObject({ type: 'CommandRejected', data: { code: 'invalid_request' } })
  })
})
