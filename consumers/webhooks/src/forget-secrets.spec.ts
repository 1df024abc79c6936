import type { AcceptedEvent, LogContext } from '@omium/log'
import type { WebhookEndpointEvent } from '@omium/schemas'
import { expect, it } from 'vitest'
import { aggregate, created, id, now, tenant } from '../test/given.ts'
import { forgetSecrets } from './forget-secrets.ts'

const accepted = ({ type, data }: WebhookEndpointEvent): AcceptedEvent => ({
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
  offset: 0,
})

it('secrets of an endpoint that was removed are forgotten, and no others', async () => {
  const forgotten: string[] = []
  const reader = forgetSecrets({
    log: {} as LogContext,
    secrets: { forget: async (of, owner) => void forgotten.push(`${of} ${owner}`) },
  }).begin(null, { partition: 0, endOffset: 0 })
  const removed = accepted({ type: 'WebhookEndpointRemoved', data: { by: 'user:u' } })
  expect([accepted(created), removed].map(({ envelope }) => reader.wants(envelope))).toEqual([false, true])
  for (const work of reader.observe(removed)) await reader.perform(work, 1)
  expect(forgotten).toEqual([`${tenant} webhook_endpoint/${id}`])
  // where it stands is stored, so that the next reader goes on there
  expect(reader.memory()).not.toBeNull()
})
