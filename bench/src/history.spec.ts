import type { EventDraft, OwnedPartition } from '@omium/log'
import { executionContextEvents } from '@omium/schemas'
import { expect, it } from 'vitest'
import { fillPartition } from './history.ts'

it('fills a partition with valid histories, most of them closed', async () => {
  const drafts: EventDraft[] = []
  const append = async (more: readonly EventDraft[]) => {
    drafts.push(...more)
    return { firstOffset: 0, lastOffset: 0 }
  }
  expect(await fillPartition({ append } as unknown as OwnedPartition<unknown>, 2000)).toBe(drafts.length)
  expect(drafts.length).toBeGreaterThan(1990)
  for (const { type, data } of drafts) {
    const { data: schema } = executionContextEvents[type as keyof typeof executionContextEvents]
    expect(schema.parse(data), type).toEqual(data)
  }
  const runs = new Set(drafts.map((draft) => draft.aggregate))
  const closed = new Set(drafts.filter((draft) => draft.closes).map((draft) => draft.aggregate))
  expect(runs.size - closed.size).toBe(Math.ceil(runs.size / 50))
})
