import type { SnapshotStore } from '@omium/log'
import type { ObjectStore } from './object-store.ts'

const folder = (topic: string, partition: number): string => `snapshots/${topic}/${String(partition).padStart(5, '0')}/`
/** wide enough for every safe integer, so that keys sort by offset */
const offsetDigits = 16

/** Snapshots of the log's partitions as objects: `snapshots/<topic>/<partition>/<next offset>`. */
export const createSnapshotStore = (objects: ObjectStore): SnapshotStore => ({
  async list(topic, partition) {
    const prefix = folder(topic, partition)
    const keys = await objects.list(prefix)
    return keys.map((key) => ({ key, nextOffset: Number(key.slice(prefix.length)) })).reverse()
  },
  load: (key) => objects.get(key),
  save: (topic, partition, nextOffset, body) =>
    objects.put(`${folder(topic, partition)}${String(nextOffset).padStart(offsetDigits, '0')}`, body),
  remove: (key) => objects.remove(key),
})
