import type { JournalEntry, ObjectRef } from '@omium/schemas'

/** What the manager needs from its surroundings; the composition root and specs provide it. */

/** Where checkpoints' bytes are. */
export interface Objects {
  store(tenant: string, threadId: string, body: Buffer): Promise<ObjectRef>
}

/** Everything that is stored under the checkpoints' prefix, referred to or not, page by page in the order of keys. */
export interface ObjectListing {
  pages(): AsyncIterable<readonly string[]>
  remove(key: string): Promise<void>
}

/** The recorded history of runs. */
export interface RunHistory {
  /**
   * The journal of a run up to and including a version, as a fork would take it over.
   * @throws OmiumError `execution_unknown` when the log has no such run, `object_missing`, `object_corrupt`, `unavailable`
   */
  journalAt(tenant: string, executionId: string, version: number): Promise<readonly JournalEntry[]>
}

/** What the manager counts as it goes. */
export interface ManagerMeasures {
  decided(commandType: string): void
  corrupted(found: string): void
  rebuilt(): void
  swept(): void
  followed(kind: string): void
}
