import { freshPrefix, testStack } from '@omium/dev/testing'
import { createCheckpointObjects, createS3ObjectStore } from '@omium/payloads'
import { checkpointObjectsPrefix } from '@omium/schemas'
import { expect, it } from 'vitest'
import { referredTo } from '../src/domain/thread.ts'
import { CheckpointManager } from '../src/manager.ts'
import { commandTo, create, hour, MemoryPartition, now, ref, tenant } from './given.ts'

/** Collecting on the real object store, a few keys at a time, while a thread is being copied from the one that goes. */
it('removes what retention let go of, page by page, and nothing that another thread was just made from', async () => {
  const store = await createS3ObjectStore({ ...testStack().s3, bucket: freshPrefix() })
  let nowMs = now
  const partition = new MemoryPartition(() => nowMs)
  const objects = createCheckpointObjects(store, () => nowMs)
  const count = (): void => {}
  let largestPage = 0
  let between: () => Promise<void> = async () => {}
  const manager = new CheckpointManager({
    objects,
    listing: {
      async *pages() {
        for await (const page of store.pages(checkpointObjectsPrefix, 3)) {
          largestPage = Math.max(largestPage, page.length)
          await between()
          yield page
        }
      },
      remove: (key) => store.remove(key),
    },
    history: { journalAt: () => Promise.reject(new Error('not asked for')) },
    clock: { nowMs: () => nowMs, after: () => () => {} },
    notices: { info: count, warn: count, error: count },
    measures: { decided: count, corrupted: count, rebuilt: count, swept: count, followed: count },
    partitionOf: () => 0,
  })
  manager.owned(partition)
  const send = (command: Parameters<typeof commandTo>[0], thread: string) =>
    manager.command(partition, commandTo(command, thread))
  const states = Array.from({ length: 10 }, (_, n) => Buffer.from(`state ${n}`))
  const put = async (thread: string, n: number, more: object = {}) => {
    const object = await objects.store(tenant, thread, states[n] as Buffer)
    await send(create(`c${n}`, { object, ...more }), thread)
    return object
  }
  const stored = async (thread: string) => (await store.list(`${checkpointObjectsPrefix}${tenant}/${thread}/`)).length
  const intact = async () => {
    for (const thread of partition.state.threads.values()) {
      for (const { object } of thread.checkpoints.values()) await objects.load(object)
      expect((await Promise.all([...referredTo(thread)].map((key) => store.get(key)))).length).toBeGreaterThan(0)
    }
  }
  try {
    for (let n = 0; n < 8; n++) await put('origin', n)
    // the last two hang together
    await put('origin', 8, { parentId: 'c7', needsParent: true })
    await send({ type: 'PinCheckpoint', data: { ...ref('c2'), holder: 'audit' } }, 'origin')
    nowMs += 25 * hour
    await send({ type: 'SetRetention', data: { retention: { keepLast: 1 } } }, 'origin')
    let copied = 0
    between = async () => {
      if (copied < 5) await put('copy', copied++)
      await intact()
    }
    expect(await manager.sweep()).toBe(6)
    expect(largestPage).toBe(3)
    expect([await stored('origin'), await stored('copy')]).toEqual([3, copied])

    // the origin goes altogether, and a day later what it was is gone, but not what was made from it
    await send({ type: 'UnpinCheckpoint', data: { ...ref('c2'), holder: 'audit' } }, 'origin')
    await send({ type: 'DeleteThread', data: {} }, 'origin')
    copied = 5
    nowMs += 25 * hour
    await manager.sweep()
    expect([await stored('origin'), await stored('copy')]).toEqual([0, 3])
    await intact()
  } finally {
    await store.close()
  }
})
