import type { AcceptedEvent, CommandDraft, LogContext } from '@omium/log'
import { type ExecutionEvent, executionOptions, type WebhookMessage } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { now, spec, tenant } from '../test/given.ts'
import { followEvents } from './follow-events.ts'
import type { SubscribedEndpoint } from './ports.ts'

const events: readonly ExecutionEvent[] = [
  {
    type: 'ExecutionRequested',
    data: {
      executionId: 'r',
      agentId: 'writer',
      input: { inline: 1 },
      requestHash: 'h',
      options: executionOptions.parse({}),
    },
  },
  { type: 'ExecutionCompleted', data: { attempt: 1, output: { inline: 1 } } },
]
const accepted = (time: number): AcceptedEvent[] =>
  events.map(({ type, data }, offset) => ({
    envelope: {
      id: `evt_${offset}`,
      type,
      schemaVersion: 1,
      tenant,
      aggregate: `execution:${tenant}/r`,
      correlationId: 'cor',
      actor: 'system',
      time,
      version: offset + 1,
      epoch: 1,
    },
    type,
    data,
    partition: 0,
    offset,
  }))

const reading = async (
  endpoints: readonly SubscribedEndpoint[],
  { time = now, endOffset = 0 }: { time?: number; endOffset?: number } = {},
) => {
  const sent: CommandDraft[] = []
  const reader = followEvents({
    log: {} as LogContext,
    commands: { send: async (command) => sent.push(command) },
    endpoints: { current: async () => undefined, of: (of) => (of === tenant ? endpoints : []) },
    clock: { nowMs: () => now, after: () => () => undefined },
  }).begin(null, { partition: 0, endOffset })
  for (const event of accepted(time))
    for (const work of reader.wants(event.envelope) ? reader.observe(event) : []) await reader.perform(work, 1)
  return sent
}
const endpoint = (id: string, given: Partial<SubscribedEndpoint> = {}) => ({
  id,
  spec,
  createdAt: now - 1000,
  ...given,
})

describe('a follower of events', () => {
  it('asks every endpoint that is subscribed, with ids that repetitions share', async () => {
    const wanted = endpoint('whk_1')
    const others = [
      endpoint('whk_2', { spec: { ...spec, types: ['execution.failed'] } }),
      endpoint('whk_3', { spec: { ...spec, filter: { agents: ['reader'] } } }),
    ]
    const sent = await reading([wanted, ...others, endpoint('whk_4')])
    expect(sent.map(({ aggregate }) => aggregate)).toEqual([
      `webhook_endpoint:${tenant}/whk_1`,
      `webhook_endpoint:${tenant}/whk_4`,
    ])
    const [first] = sent.map(({ data }) => (data as { message: WebhookMessage }).message)
    expect(JSON.parse(first?.body ?? '')).toMatchObject({
      data: { executionId: 'r', agent: 'writer' },
    })
    expect(await reading([wanted])).toEqual([sent[0]])
    expect(new Set(sent.map(({ id }) => id)).size).toBe(2)
  })

  it('asks for what it finds on the log only if it is recent and came after the endpoint', async () => {
    const late = endpoint('whk_1', { createdAt: now + 1 })
    expect(await reading([late], { endOffset: 2 })).toEqual([])
    expect(await reading([endpoint('whk_1')], { endOffset: 2 })).toHaveLength(1)
    const old = now - 4 * 86_400_000
    expect(await reading([endpoint('whk_1', { createdAt: 0 })], { endOffset: 2, time: old })).toEqual([])
    // what comes later is not judged by clocks
    expect(await reading([late])).toHaveLength(1)
  })
})
