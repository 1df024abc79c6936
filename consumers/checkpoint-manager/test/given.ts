import { commandTo as commandOf, MemoryPartition as Memory } from '@omium/kit/testing'
import type { Command, EventDraft } from '@omium/log'
import {
  aggregateKey,
  type CheckpointCommand,
  type CheckpointEvent,
  checkpointObjectKey,
  type ObjectRef,
} from '@omium/schemas'
import { type Decision, decideCommand } from '../src/domain/decide.ts'
import { emptyThread, evolve, type ThreadState } from '../src/domain/thread.ts'
import { checkpointMachine, type PartitionState } from '../src/machine.ts'

/** The vocabulary of the specs: given(events).when(command).then(events). */

export const now = 1_700_000_000_000
export const hour = 3_600_000
export const tenant = 'ten_a'
export const threadId = 'thread-1'

export const shaOf = (n: number): string => n.toString(16).padStart(64, '0')
export const objectOf = (n: number, storedAt = now, thread = threadId, of = tenant): ObjectRef => ({
  key: checkpointObjectKey(of, thread, shaOf(n), storedAt),
  bytes: 10,
  sha256: shaOf(n),
})

type Creation = Extract<CheckpointCommand, { type: 'CreateCheckpoint' }>['data']
export const creation = (checkpointId: string, given: Partial<Creation> = {}): Creation => ({
  namespace: '',
  checkpointId,
  kind: 'state',
  object: objectOf(1),
  format: 'json',
  ...given,
})
export const created = (checkpointId: string, given: Partial<Creation> = {}): CheckpointEvent => ({
  type: 'CheckpointCreated',
  data: creation(checkpointId, given),
})
export const create = (checkpointId: string, given: Partial<Creation> = {}): CheckpointCommand => ({
  type: 'CreateCheckpoint',
  data: creation(checkpointId, given),
})
export const ref = (checkpointId: string, namespace = '') => ({ namespace, checkpointId })

export const fold = (events: readonly CheckpointEvent[], time = now): ThreadState | undefined => {
  let state: ThreadState | undefined
  for (const event of events) state = evolve(state ?? emptyThread(tenant, threadId), event, time)
  return state
}

export const given = (...events: CheckpointEvent[]) => ({
  when: (command: CheckpointCommand, nowMs = now): Decision =>
    decideCommand(fold(events), command, { tenant, threadId, nowMs, by: 'key:k' }),
  state: () => fold(events),
})

/** A partition in memory that accepts at once, unless the spec says when. */
export class MemoryPartition extends Memory<PartitionState> {
  constructor(nowMs: () => number) {
    super(checkpointMachine, { nowMs })
  }
  override append(drafts: readonly EventDraft[]) {
    const appended = super.append(drafts)
    if (this.automatic) this.accept()
    return appended
  }
}

export const commandTo = (command: CheckpointCommand, thread = threadId): Command =>
  commandOf(aggregateKey('thread', tenant, thread), command)
