import type { StateMachine } from '@omium/log'
import { type CheckpointEvent, checkpointEvents, parseAggregateKey } from '@omium/schemas'
import {
  decodeThread,
  type EncodedThread,
  emptyThread,
  encodeThread,
  evolve,
  type ThreadState,
} from './domain/thread.ts'

/** The live state of one partition of the checkpoint context: its threads by aggregate key. */
export interface PartitionState {
  readonly threads: Map<string, ThreadState>
}

export const checkpointMachine: StateMachine<PartitionState> = {
  version: 2,
  empty: () => ({ threads: new Map() }),

  apply({ threads }, { envelope, type, data }) {
    if (!(type in checkpointEvents)) return
    const { aggregate, tenant, time } = envelope
    const before = threads.get(aggregate) ?? emptyThread(tenant, parseAggregateKey(aggregate)?.id ?? '')
    const after = evolve(before, { type, data } as CheckpointEvent, time)
    if (after) threads.set(aggregate, after)
    else threads.delete(aggregate)
  },

  encode: ({ threads }) => [...threads].map(([key, thread]) => [key, encodeThread(thread)]),
  decode: (encoded) => ({
    threads: new Map((encoded as [string, EncodedThread][]).map(([key, thread]) => [key, decodeThread(thread)])),
  }),
}
