import { type AcceptedEvent, type LogContext, partitionFor } from '@omium/log'
import { aggregateKey, type TriggerEvent, type WebhookEndpointEvent, workflowContext } from '@omium/schemas'
import type { SecretInDoubt } from '@omium/webhook-secrets'
import { describe, expect, it } from 'vitest'
import { created, id, now, tenant } from '../test/given.ts'
import { followSecrets } from './follow-secrets.ts'

const endpoint = aggregateKey('webhook_endpoint', tenant, id)
const trigger = aggregateKey('trigger', tenant, 't1')
const partitions = 4

const put = (sealedSecret?: string): TriggerEvent => ({
  type: 'TriggerPut',
  data: {
    triggerId: 't1',
    spec: {
      workflow: 'w',
      source: sealedSecret === undefined ? { type: 'topic', topic: 't' } : { type: 'webhook', sealedSecret },
    },
    by: 'user:u',
  },
})
const accepted = (aggregate: string, { type, data }: TriggerEvent | WebhookEndpointEvent): AcceptedEvent => ({
  envelope: {
    id: 'evt_1',
    type,
    schemaVersion: 1,
    tenant,
    aggregate,
    correlationId: 'cor',
    actor: 'system',
    time: now,
    version: 1,
    epoch: 1,
  },
  type,
  data,
  partition: 0,
  offset: 7,
})

const reading = (inDoubt: readonly SecretInDoubt[] = [], partition = 0) => {
  const done: string[] = []
  const asked: number[] = []
  const log = {
    definition: workflowContext,
    topicPrefix: 'p',
    transport: { partitionCount: async () => partitions },
  } as unknown as LogContext
  const reader = followSecrets({
    log,
    clock: { nowMs: () => now },
    secrets: {
      confirm: async (of, owner, secret, offset) => void done.push(`confirm ${of} ${owner} ${secret} ${offset}`),
      forget: async (of, owner, offset) => void done.push(`forget ${of} ${owner} before ${offset}`),
      inDoubt: async (madeBefore) => {
        asked.push(madeBefore)
        return inDoubt
      },
      discard: async (secret) => void done.push(`discard ${secret.owner} ${secret.id}`),
    },
  }).begin(null, { partition, endOffset: 0 })
  return { reader, done, asked }
}

describe('secrets', () => {
  it.each<[string, string, TriggerEvent | WebhookEndpointEvent, string[]]>([
    ['of a new endpoint', endpoint, created, ['confirm ten_a webhook_endpoint/whk_1 wsk_1 7']],
    [
      'of an endpoint that gets another one',
      endpoint,
      { type: 'WebhookSecretRotated', data: { secretId: 'wsk_2', previousUntil: now, by: 'key:k' } },
      ['confirm ten_a webhook_endpoint/whk_1 wsk_2 7'],
    ],
    [
      'of an endpoint that is removed',
      endpoint,
      { type: 'WebhookEndpointRemoved', data: { by: 'user:u' } },
      ['forget ten_a webhook_endpoint/whk_1 before 7'],
    ],
    ['of a trigger', trigger, put('wsk_3'), ['confirm ten_a trigger/t1 wsk_3 7', 'forget ten_a trigger/t1 before 7']],
    ['of a trigger that hears of a topic now', trigger, put(), ['forget ten_a trigger/t1 before 7']],
    [
      'of a trigger that is deleted',
      trigger,
      { type: 'TriggerDeleted', data: { by: 'user:u' } },
      ['forget ten_a trigger/t1 before 7'],
    ],
  ])('%s', async (_what, aggregate, event, expected) => {
    const { reader, done } = reading()
    const seen = accepted(aggregate, event)
    expect(reader.wants(seen.envelope)).toBe(true)
    for (const work of reader.observe(seen)) await reader.perform(work, 1)
    expect(done).toEqual(expected)
    // where it stands is stored, so that the next reader goes on there
    expect(reader.memory()).not.toBeNull()
  })

  it('that no event ever named go, of the own partition and context, once everything is read', async () => {
    const doubtful = ['trigger/t1', 'trigger/t2', 'trigger/t3', 'webhook_endpoint/t1'].map((owner, n) => ({
      tenant,
      owner,
      id: `wsk_${n}`,
    }))
    const own = partitionFor(trigger, partitions)
    const { reader, done, asked } = reading(doubtful, own)
    expect(await reader.sweep?.(async () => false)).toEqual([])
    const work = (await reader.sweep?.(async () => true)) ?? []
    for (const one of work) await reader.perform(one, 1)
    const others = ['t2', 't3'].filter((one) => partitionFor(aggregateKey('trigger', tenant, one), partitions) === own)
    expect(done).toEqual(['t1', ...others].map((one) => `discard trigger/${one} wsk_${Number(one[1]) - 1}`))
    expect(new Set(asked)).toEqual(new Set([now - 8 * 86_400_000]))
  })
})
