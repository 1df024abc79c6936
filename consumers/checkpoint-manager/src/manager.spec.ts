import { setImmediate as turn } from 'node:timers/promises'
import { type JournalEntry, OmiumError } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { commandTo, create, hour, MemoryPartition, now, objectOf, ref, tenant, threadId } from '../test/given.ts'
import { CheckpointManager } from './manager.ts'
import type { RunHistory } from './ports.ts'

const journal: JournalEntry[] = [{ path: 'a#1', kind: 'step', requestHash: 'h', status: 'completed', value: 1 }]
const point = { executionId: threadId, version: 3, path: 'a#1' }

const manage = (history: RunHistory['journalAt'] = async () => journal) => {
  const world = { nowMs: now, asked: [] as unknown[], stored: [] as string[], warnings: [] as string[] }
  const partition = new MemoryPartition(() => world.nowMs)
  const count = (): void => {}
  const manager = new CheckpointManager({
    objects: {
      store: async (_tenant, _thread, body) => {
        world.stored.push(body.toString())
        return objectOf(9, world.nowMs)
      },
    },
    listing: { pages: async function* () {}, remove: async () => {} },
    history: {
      journalAt: (...asked) => {
        world.asked.push(asked)
        return history(...asked)
      },
    },
    clock: { nowMs: () => world.nowMs, after: () => () => {} },
    notices: { info: count, warn: (_, message) => world.warnings.push(message), error: count },
    measures: { decided: count, corrupted: count, rebuilt: count, swept: count, followed: count },
    partitionOf: () => 0,
  })
  return { world, partition, manager, types: () => partition.log.map(({ type }) => type) }
}
const report = { type: 'ReportCorruption', data: { ...ref('r'), found: 'missing' } } as const
const settled = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await turn()
}

describe('a damaged checkpoint of a run', () => {
  it('is made again from the log once the finding is accepted, not before', async () => {
    const { world, partition, manager, types } = manage()
    manager.owned(partition)
    void manager.command(partition, commandTo(create('r', { kind: 'run', point })))
    partition.automatic = false
    void manager.command(partition, commandTo(report))
    await settled()
    expect(world.asked).toEqual([])
    partition.automatic = true
    partition.accept()
    await settled()
    expect(world.asked).toEqual([[tenant, threadId, 3]])
    expect(world.stored).toEqual([JSON.stringify(journal)])
    expect(types()).toEqual(['CheckpointCreated', 'CheckpointCorrupted', 'CheckpointRebuilt'])
  })
  it('is made again by whoever takes the partition over', async () => {
    const first = manage(() => new Promise(() => {}))
    first.manager.owned(first.partition)
    void first.manager.command(first.partition, commandTo(create('r', { kind: 'run', point })))
    void first.manager.command(first.partition, commandTo(report))
    await settled()
    const second = manage()
    second.manager.owned(first.partition)
    await settled()
    expect(first.partition.log.at(-1)).toMatchObject({ type: 'CheckpointRebuilt', data: { object: objectOf(9) } })
  })
  it('stays damaged when the log cannot give it, and can be tried again', async () => {
    let fails = true
    const { world, partition, manager, types } = manage(async () => {
      if (fails) throw new OmiumError('execution_unknown', 'the log has no such execution')
      return journal
    })
    manager.owned(partition)
    void manager.command(partition, commandTo(create('r', { kind: 'run', point })))
    void manager.command(partition, commandTo(report))
    await settled()
    expect(world.warnings).toContain('a checkpoint cannot be made again')
    expect(partition.log.at(-1)).toMatchObject({
      type: 'CheckpointRebuildFailed',
      data: { checkpointId: 'r', why: 'execution_unknown: the log has no such execution' },
    })
    fails = false
    void manager.command(partition, commandTo(report))
    await settled()
    expect(types().at(-1)).toBe('CheckpointRebuilt')
  })
  it('that is deleted in the meantime is not brought back', async () => {
    const waiting = Promise.withResolvers<JournalEntry[]>()
    const { partition, manager, types } = manage(() => waiting.promise)
    manager.owned(partition)
    void manager.command(partition, commandTo(create('r', { kind: 'run', point })))
    void manager.command(partition, commandTo(report))
    await settled()
    void manager.command(partition, commandTo({ type: 'DeleteThread', data: {} }))
    waiting.resolve(journal)
    await settled()
    expect(types()).not.toContain('CheckpointRebuilt')
  })
})

describe('a manager', () => {
  it('refuses commands to what is no thread of their tenant', async () => {
    const { partition, manager, types } = manage()
    manager.owned(partition)
    const command = commandTo(create('a'))
    for (const aggregate of [`thread:ten_b/${threadId}`, `execution:${tenant}/x`, 'nonsense']) {
      await manager.command(partition, { ...command, envelope: { ...command.envelope, aggregate } })
    }
    expect(types()).toEqual(['CommandRejected', 'CommandRejected', 'CommandRejected'])
  })
  it('lets go of what is too old, without being asked', async () => {
    const { world, partition, manager } = manage()
    manager.owned(partition)
    await manager.command(partition, commandTo({ type: 'SetRetention', data: { retention: { maxAgeMs: hour } } }))
    for (const id of ['a', 'b']) await manager.command(partition, commandTo(create(id)))
    world.nowMs += hour - 1
    await manager.expire()
    expect(manager.counts.checkpoints).toBe(2)
    world.nowMs += 1
    await manager.expire()
    expect(manager.counts).toEqual({ threads: 1, checkpoints: 1 })
  })
})
