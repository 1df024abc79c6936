import { type ExecutionRecord, listEvents } from '@omium/projection-executions'
import type { Reads } from '@omium/projection-kit'
import { aggregateKey, type ExecutionEvent, JournalCollector, type JournalEntry } from '@omium/schemas'
import type { Payloads } from '../payloads.ts'
import { historyOf, type RunHistory } from './history.ts'

/**
 * Histories of runs, read from their events.
 *
 * 1. An event of a run is read once, however many pages, previews and comparisons ask for its history one after the other:
 *    what was read is kept for a while, and only what came since is read on top of it.
 * 2. What is kept is bounded in bytes and time. The read models stay the truth: it can be forgotten at any moment.
 * 3. Whoever asks has looked the run up for its tenant first; its record says how far the history has to go.
 */
export interface Histories {
  /** The history up to the record's version at least. @throws OmiumError `object_missing`, `object_corrupt` */
  read(tenant: string, record: ExecutionRecord): Promise<RunHistory>
}

const pageSize = 1000
const mostBytes = 64 * 1024 * 1024
const keptMs = 60_000

class KeptHistory {
  readonly #journal = new JournalCollector()
  #version = 0
  #history: RunHistory | undefined
  #reading: Promise<unknown> = Promise.resolve()
  bytes = 0
  usedAt = 0

  /** One reader at a time: the second finds what the first has read. */
  read(reads: Reads, payloads: Payloads, tenant: string, record: ExecutionRecord): Promise<RunHistory> {
    const history = this.#reading.then(() => this.#upTo(reads, payloads, tenant, record))
    this.#reading = history
    return history
  }

  async #upTo(reads: Reads, payloads: Payloads, tenant: string, record: ExecutionRecord): Promise<RunHistory> {
    if (this.#history && this.#history.record.version >= record.version) return this.#history
    while (this.#version < record.version) {
      const events = await listEvents(reads, tenant, record.id, { afterVersion: this.#version, limit: pageSize })
      for (const event of events) {
        this.#journal.add(event as unknown as ExecutionEvent, event.time.getTime())
        this.bytes += event.bytes
      }
      this.#version = events.at(-1)?.version ?? record.version
    }
    const { seed } = this.#journal
    const taken = this.#history?.taken ?? (seed ? ((await payloads.open(seed)) as unknown as JournalEntry[]) : [])
    this.#history = historyOf(record, this.#journal, taken)
    return this.#history
  }
}

export const createHistories = (reads: Reads, payloads: Payloads, nowMs: () => number): Histories => {
  /** by run, least recently used first */
  const kept = new Map<string, KeptHistory>()

  const forgetOld = (): void => {
    let bytes = 0
    for (const history of kept.values()) bytes += history.bytes
    for (const [key, history] of kept) {
      if (bytes <= mostBytes && nowMs() - history.usedAt <= keptMs) return
      kept.delete(key)
      bytes -= history.bytes
    }
  }

  return {
    read: async (tenant, record) => {
      forgetOld()
      const key = aggregateKey('execution', tenant, record.id)
      const history = kept.get(key) ?? new KeptHistory()
      history.usedAt = nowMs()
      kept.delete(key)
      kept.set(key, history)
      try {
        return await history.read(reads, payloads, tenant, record)
      } catch (error) {
        // what was half read is read anew by whoever asks next
        if (kept.get(key) === history) kept.delete(key)
        throw error
      } finally {
        forgetOld()
      }
    },
  }
}
