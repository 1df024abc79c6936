import { maxCheckpointBytes, type SettledEntry } from '@omium/schemas'
import { expect, it } from 'vitest'
import { createCheckpointMaker } from './checkpoint-maker.ts'
import type { DueCheckpoint } from './domain/run-watch.ts'

it('leaves out what is too large for a checkpoint before it opens any of it', async () => {
  const opened: unknown[] = []
  const sent: unknown[] = []
  const warned: string[] = []
  const make = createCheckpointMaker({
    objects: { store: async () => ({ key: 'k', bytes: 1, sha256: 's' }) },
    open: async (payload) => {
      opened.push(payload)
      return null
    },
    commands: { send: async (command) => void sent.push(command) as never },
    notices: { info: () => undefined, warn: (_fields, message) => warned.push(message), error: () => undefined },
    measures: {
      decided: () => undefined,
      corrupted: () => undefined,
      rebuilt: () => undefined,
      swept: () => undefined,
      followed: () => undefined,
    },
  })
  const entry = (path: string, bytes: number) =>
    ({
      path,
      kind: 'step',
      requestHash: 'h',
      result: { type: 'value', payload: { ref: { key: path, bytes, sha256: '0'.repeat(64) } } },
    }) as unknown as SettledEntry
  const due = (bytes: number): DueCheckpoint => ({
    tenant: 't',
    threadId: 'r',
    checkpointId: 'run-1',
    parentId: null,
    label: 'after b',
    point: { executionId: 'r', version: 1 },
    content: { kind: 'run', seed: undefined, seedUpto: undefined, entries: [entry('a', bytes), entry('b', bytes)] },
  })
  await make(due(maxCheckpointBytes / 2 + 1))
  expect([opened, sent, warned]).toEqual([[], [], [expect.stringContaining('too large')]])
  await make(due(10))
  expect([opened.length, sent.length]).toEqual([2, 1])
})
