import type { AcceptedEvent, DeadLetter, TailBatch } from '@omium/log'
import type { ErrorCode } from '@omium/schemas'
import type { PoolClient } from 'pg'

/** What a projection gives the kit: its tables and a way to apply accepted events to them. */
export interface ProjectionDefinition {
  /** also the Postgres schema that readers use */
  readonly name: string
  /** changes when `apply` would fill the tables with other content from the same log */
  readonly codeVersion: number
  readonly tables: readonly ProjectionTable[]
  /** one applier for each run of the projection, so that it may keep caches */
  createApplier(): Applier
}

export interface ProjectionTable {
  readonly name: string
  /** primary key, used to name the first difference between two generations */
  readonly key: readonly string[]
}

export interface Applier {
  /**
   * Applies events, in log order for each partition, within the transaction. Events that cannot be applied go to
   * `tx.deadLetter` and the rest goes on. Everything else that throws rolls the transaction back.
   */
  apply(events: readonly AcceptedEvent[], tx: ProjectionTx): Promise<void>
  /** the transaction did not commit, or another process may have written: drop every cache */
  forget(): void
}

export interface ProjectionTx {
  readonly client: PoolClient
  /** schema of the generation that is written to, quoted; put it before every table's name */
  readonly schema: string
  deadLetter(event: AcceptedEvent, code: ErrorCode, detail: string): void
}

/** A stretch of one partition: everything from `fromOffset` up to and without `nextOffset`. */
export interface Slice {
  readonly partition: number
  readonly fromOffset: number
  readonly nextOffset: number
  readonly events: readonly AcceptedEvent[]
  readonly deadLetters: readonly DeadLetter[]
  readonly rejected: TailBatch['rejected']
  /** state of the acceptance fold at an offset within (fromOffset, nextOffset] */
  readonly checkpoint?: { readonly nextOffset: number; readonly body: Buffer }
}

/** Which copy of the tables is written: the live one, or one that is being rebuilt beside it. */
export interface Generation {
  readonly number: number
  readonly schema: string
  readonly live: boolean
}

/** One number out of a string, stable: advisory locks are named by numbers. FNV-1a, 32 bits, signed. */
export const lockNumber = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}

/** Quotes an SQL identifier. */
export const quoteIdentifier = (identifier: string): string => `"${identifier.replaceAll('"', '""')}"`
