import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createPayloadStore } from './payload-store.ts'
import { createSnapshotStore } from './snapshot-store.ts'
import { createInMemoryObjectStore, objectStoreContract } from './testing.ts'

objectStoreContract('the in-memory store', async () => createInMemoryObjectStore())

const large = 'x'.repeat(70_000)

describe('payloads', () => {
  it('travel inside the record when they are small', async () => {
    expect(await createPayloadStore(createInMemoryObjectStore()).seal('t', 'e', { a: 1 })).toEqual({ inline: { a: 1 } })
  })
  it('go to the store when they are large, one object for one content', async () => {
    const objects = createInMemoryObjectStore()
    const store = createPayloadStore(objects)
    const sealed = await store.seal('t', 'e', large)
    expect(await store.seal('t', 'e', large)).toEqual(sealed)
    expect([...objects.objects.keys()]).toEqual([expect.stringMatching(/^payloads\/t\/e\/[0-9a-f]{64}$/)])
    expect(await store.open(sealed)).toBe(large)
  })
  it('count bytes, not characters', async () => {
    const sealed = await createPayloadStore(createInMemoryObjectStore()).seal('t', 'e', 'é'.repeat(40_000))
    expect(sealed).toHaveProperty('ref')
  })
  it('are refused above the limit', async () => {
    const store = createPayloadStore(createInMemoryObjectStore())
    await expect(store.seal('t', 'e', 'x'.repeat(11 * 1024 * 1024))).rejects.toMatchObject({
      code: 'payload_too_large',
    })
  })
  it('that were altered or lost are never handed out', async () => {
    const objects = createInMemoryObjectStore()
    const store = createPayloadStore(objects)
    const sealed = await store.seal('t', 'e', large)
    const [key] = objects.objects.keys()
    objects.objects.set(key ?? '', Buffer.from(JSON.stringify(large.replace('x', 'y'))))
    await expect(store.open(sealed)).rejects.toMatchObject({ code: 'object_corrupt' })
    objects.objects.clear()
    await expect(store.open(sealed)).rejects.toMatchObject({ code: 'object_missing' })
  })
  it('come back as they were', async () => {
    const store = createPayloadStore(createInMemoryObjectStore())
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        const json = JSON.parse(JSON.stringify(value))
        expect(await store.open(await store.seal('t', 'e', json))).toEqual(json)
      }),
    )
  })
})

describe('snapshots', () => {
  it('are listed newest first', async () => {
    const snapshots = createSnapshotStore(createInMemoryObjectStore())
    for (const offset of [9, 100, 20]) await snapshots.save('t.events', 3, offset, Buffer.from(`${offset}`))
    await snapshots.save('t.events', 30, 1, Buffer.from('other'))
    const listed = await snapshots.list('t.events', 3)
    expect(listed.map((s) => s.nextOffset)).toEqual([100, 20, 9])
    expect((await snapshots.load(listed[0]?.key ?? '')).toString()).toBe('100')
    await snapshots.remove(listed[0]?.key ?? '')
    expect((await snapshots.list('t.events', 3)).map((s) => s.nextOffset)).toEqual([20, 9])
  })
})
