import type { OmiumError } from '@omium/schemas'

/**
 * The port under the log core: what it needs from a partitioned, replicated, append-only log. Two adapters implement it,
 * Kafka and a deterministic simulation; one contract suite runs on both.
 *
 * What an adapter promises:
 * 1. `append` is acknowledged only when the log's durability rule is met; the records of one partition in one call are
 *    contiguous, in order, from `baseOffset`.
 * 2. An `append` that throws may or may not have taken effect, now or later. The producer is then unusable: every further
 *    call on it throws. Nobody may reuse it.
 * 3. Readers see records in offset order without gaps that they are not told about, and never a record that can vanish.
 * 4. Group membership is only a hint about who should own a partition. Safety never depends on it.
 */

export interface RawRecord {
  readonly key: string | null
  readonly headers: Readonly<Record<string, string>>
  readonly value: Buffer | null
}

export interface StoredRecord extends RawRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** ms since the epoch, as the log stamped it */
  readonly timestamp: number
}

export interface PartitionBatch {
  readonly topic: string
  readonly partition: number
  readonly records: readonly RawRecord[]
}

export interface AppendReceipt {
  readonly topic: string
  readonly partition: number
  readonly baseOffset: number
}

/** Appends with one request in flight at a time; concurrent `append` calls on one producer are a programming error. */
export interface TransportProducer {
  append(batches: readonly PartitionBatch[]): Promise<readonly AppendReceipt[]>
  close(): Promise<void>
}

export interface ReadBatch {
  readonly topic: string
  readonly partition: number
  readonly records: readonly StoredRecord[]
  /** the offset after the last one this batch covers (records may be fewer, e.g. after compaction) */
  readonly nextOffset: number
  /** the end of the partition as known when the batch was fetched */
  readonly endOffset: number
}

export interface ReadRequest {
  readonly topic: string
  readonly partition: number
  readonly fromOffset: number
}

/** Reads given partitions from given offsets, without a consumer group's say. `next` waits for records; null after close. */
export interface TransportReader {
  next(): Promise<ReadBatch | null>
  close(): Promise<void>
}

export interface GroupMember {
  /** stop and resume delivery of one partition */
  pause(topic: string, partition: number): void
  resume(topic: string, partition: number): void
  /** moves this partition's position; the next delivery starts there */
  seek(topic: string, partition: number, offset: number): void
  /** commits the offset after the last handled record */
  commit(topic: string, partition: number, nextOffset: number): Promise<void>
  /** the group's committed offset, null when there is none (any more): brokers forget those of groups that stand still */
  committed(topic: string, partition: number): Promise<number | null>
  leave(): Promise<void>
}

export interface GroupRequest {
  readonly groupId: string
  /** co-partitioned: whoever gets partition p of the first gets p of all */
  readonly topics: readonly string[]
  readonly sessionTimeoutMs: number
  /** the partitions this member holds from now on; called on every rebalance, also when nothing changed */
  onAssigned(partitions: readonly number[], member: GroupMember): void
  /** delivery; must return quickly: hand over and return. Backpressure is `pause` */
  onBatch(batch: ReadBatch): void | Promise<void>
  /** the member fell out of the group; it rejoins by itself and `onAssigned` follows */
  onLost(): void
  /** the log does not have the partition's position any more (`log_truncated`); no delivery until `seek` */
  onHalted?(topic: string, partition: number, error: OmiumError): void
}

export interface TopicSpec {
  readonly topic: string
  readonly partitions: number
  readonly replication: number
  readonly config?: Readonly<Record<string, string>>
}

export interface LogTransport {
  openProducer(): Promise<TransportProducer>
  openReader(requests: readonly ReadRequest[]): Promise<TransportReader>
  joinGroup(request: GroupRequest): Promise<GroupMember>
  /** of every partition, the first offset that the log still has: retention deletes from the front */
  startOffsets(topic: string): Promise<ReadonlyMap<number, number>>
  endOffsets(topic: string): Promise<ReadonlyMap<number, number>>
  /** of every partition, the first offset whose record has this timestamp (ms) or a later one; its end when none has */
  offsetsSince(topic: string, sinceMs: number): Promise<ReadonlyMap<number, number>>
  partitionCount(topic: string): Promise<number>
  /** creates what is missing; an existing topic with other partition counts is an error, never altered */
  ensureTopics(topics: readonly TopicSpec[]): Promise<void>
  close(): Promise<void>
}
