import { AcceptanceFold } from './acceptance.ts'
import { CommitQueue } from './commit-queue.ts'
import type { OwnerOptions } from './contract.ts'
import { PartitionOwner, type PartitionOwnerDeps } from './partition-owner.ts'
import { type Compression, gzipCompression } from './snapshots.ts'
import { LogWriter, type WriterOptions } from './writer.ts'

/**
 * What an owner is made of. The simulation puts defective parts in, one at a time, to prove that its checker would notice
 * each defect.
 */
export interface OwnerParts {
  createFold(): AcceptanceFold
  createWriter(options: WriterOptions): LogWriter
  createCommitQueue(): CommitQueue
  createPartitionOwner<S>(deps: PartitionOwnerDeps<S>, options: OwnerOptions<S>): PartitionOwner<S>
  readonly compression: Compression
}

export const ownerParts: OwnerParts = {
  createFold: () => new AcceptanceFold(),
  createWriter: (options) => new LogWriter(options),
  createCommitQueue: () => new CommitQueue(),
  createPartitionOwner: (deps, options) => new PartitionOwner(deps, options),
  compression: gzipCompression,
}
