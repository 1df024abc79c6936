import type { Command, EventDraft, OwnedPartition } from '@omium/log'
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

/** A partition in memory: what is appended is in the state at once, and accepted when the spec says so. */
export class MemoryPartition implements OwnedPartition<PartitionState> {
  readonly partition = 0
  readonly epoch = 1
  readonly state = checkpointMachine.empty()
  readonly log: (CheckpointEvent | { type: string; data: unknown })[] = []
  live = true
  automatic = true
  readonly #nowMs: () => number
  #waiting: { resolve: () => void; reject: (error: Error) => void }[] = []

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  versionOf(): number {
    return 0
  }
  append(drafts: readonly EventDraft[]) {
    for (const { type, data, aggregate, tenant: of } of drafts) {
      const envelope = { aggregate, tenant: of, time: this.#nowMs() } as never
      checkpointMachine.apply(this.state, { envelope, type, data: structuredClone(data), partition: 0, offset: -1 })
      this.log.push({ type, data })
    }
    return new Promise<{ firstOffset: number; lastOffset: number }>((resolve, reject) => {
      this.#waiting.push({ resolve: () => resolve({ firstOffset: 0, lastOffset: 0 }), reject })
      if (this.automatic) this.accept()
    })
  }
  accept(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }
  fence(): void {
    this.live = false
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('log_fenced'))
  }
  async send(): Promise<void> {}
  reject(command: Command, code: string, detail: string) {
    return this.append([{ ...about(command), type: 'CommandRejected', data: { code, detail } }])
  }
}

const about = ({ envelope: { aggregate, tenant: of, actor, correlationId } }: Command) => ({
  aggregate,
  tenant: of,
  actor,
  correlationId,
})

let commands = 0
export const commandTo = (command: CheckpointCommand, thread = threadId): Command => {
  const envelope = {
    id: `cmd_${++commands}`,
    type: command.type,
    schemaVersion: 1,
    tenant,
    aggregate: aggregateKey('thread', tenant, thread),
    correlationId: 'cor',
    actor: 'key:k',
    time: 0,
  }
  return { envelope, type: command.type, data: command.data, partition: 0, offset: 0 }
}
