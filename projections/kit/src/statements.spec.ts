import type { AcceptedEvent } from '@omium/log'
import { expect, it } from 'vitest'
import type { ProjectionTx } from './definition.ts'
import { applyEach } from './statements.ts'

it('applies events in order, with the schema and values that Postgres can hold', async () => {
  const asked: unknown[] = []
  const client = { query: async (text: string, values: unknown[]) => void asked.push([text, ...values]) }
  const tx = { client, schema: '"s"', deadLetter: () => undefined } as unknown as ProjectionTx
  const event = (aggregate: string, version: number) =>
    ({ envelope: { aggregate, version, tenant: 'ten_a', time: 0 }, partition: 1, offset: 7 }) as AcceptedEvent
  const applier = applyEach((place) =>
    place.run('UPDATE @t WHERE tenant = $1', place.tenant, place.id, place.version, place.at, 'a\0b', ['\0'], null, {}),
  )
  await applier.apply([event('tenant:ten_a/x', 1), event('no aggregate', 2), event('tenant:ten_a/y', 3)], tx)
  const row = (id: string, version: number) => [
    ...['UPDATE "s".t WHERE tenant = $1', 'ten_a', id, version],
    ...['1970-01-01T00:00:00.000Z', 'a\ufffdb', ['\ufffd'], null, {}],
  ]
  expect(asked).toEqual([row('x', 1), row('y', 3)])
})
