import type { Failure, JournalEntry, JsonValue } from '@omium/schemas'

/** A result on its way to user code. */
export interface Settlement {
  readonly path: string
  readonly value: JsonValue
  readonly failure: Failure | undefined
}

/** The result that an entry of the journal holds; undefined while its call is under way. */
export const settlementOf = (entry: JournalEntry): Settlement | undefined => {
  if (entry.status === 'completed') return { path: entry.path, value: entry.value, failure: undefined }
  if (entry.status === 'failed') return { path: entry.path, value: null, failure: entry.error }
  return undefined
}

/** Results in the order in which user code gets them. */
export class ReleaseQueue {
  /** how many were taken */
  released = 0
  private settlements: Settlement[] = []
  private head = 0

  push(settlement: Settlement): void {
    this.settlements.push(settlement)
  }

  get next(): Settlement | undefined {
    return this.settlements[this.head]
  }

  take(): void {
    this.released += 1
    this.head += 1
    if (this.head > 256 && this.head * 2 > this.settlements.length) {
      this.settlements = this.settlements.slice(this.head)
      this.head = 0
    }
  }

  clear(): void {
    this.settlements = []
    this.head = 0
  }
}
