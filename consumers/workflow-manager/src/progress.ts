import type { SnapshotStore } from '@omium/log'
import type { Progress } from './ports.ts'

/** Progress as objects beside the snapshots; the newest counts, and a missing one means from the beginning. */
export const createProgress = (snapshots: SnapshotStore, topicPrefix: string): Progress => {
  const topic = `${topicPrefix}.workflow.ends-of-executions`
  return {
    async load(partition) {
      const [newest] = await snapshots.list(topic, partition)
      return newest && { nextOffset: newest.nextOffset, body: await snapshots.load(newest.key) }
    },
    async save(partition, { nextOffset, body }) {
      await snapshots.save(topic, partition, nextOffset, body)
      const [, ...older] = await snapshots.list(topic, partition)
      for (const { key } of older) await snapshots.remove(key)
    },
  }
}
