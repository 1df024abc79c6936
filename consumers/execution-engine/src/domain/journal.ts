import type { JournalEntry, JsonValue, Payload } from '@omium/schemas'
import type { OpenEntry, SettledEntry } from './entries.ts'
import type { ExecutionState } from './execution.ts'

/**
 * The journal as a worker replays it: what is settled, in the order of settlement, then what is open. Values may still be
 * references into object storage; {@link toJournalEntry} takes the opened value.
 *
 * A step that was only started is left out: nothing of it is recorded and it simply runs again.
 */
export type RecordedEntry = SettledEntry | Exclude<OpenEntry, { type: 'step' }>

export const journalOf = (state: ExecutionState): RecordedEntry[] => {
  const entries: RecordedEntry[] = [...state.settled.values()]
  for (const entry of state.open.values()) if (entry.type !== 'step') entries.push(entry)
  return entries
}

/**
 * What a run still has of the results that it took over, after a roll back to one of them; `upto` null: all of them.
 * @param replaced paths with an entry of the run's own: a recovery may have put a value in the place of a failure
 */
export const seedEntries = (
  seed: readonly JournalEntry[],
  upto: string | null,
  replaced: ReadonlySet<string>,
): readonly JournalEntry[] => {
  const point = upto === null ? -1 : seed.findIndex(({ path }) => path === upto)
  const kept = point < 0 ? seed : seed.slice(0, point + 1)
  return kept.filter(({ path }) => !replaced.has(path))
}

/** The stored value that has to be opened before the entry can travel, if it has one. */
export const payloadOf = (entry: RecordedEntry): Payload | null =>
  'result' in entry && entry.result.type !== 'error' ? entry.result.payload : null

/** @param value the opened {@link payloadOf} the entry; ignored for entries that have none */
export const toJournalEntry = (entry: RecordedEntry, value: JsonValue): JournalEntry => {
  const { path, requestHash } = entry
  if ('result' in entry) {
    const { kind, result } = entry
    if (result.type === 'error') return { status: 'failed', path, requestHash, kind, error: result.error }
    const seen = result.type === 'signal' ? { timedOut: false, payload: value } : value
    return { status: 'completed', path, requestHash, kind, value: seen }
  }
  switch (entry.type) {
    case 'retrying': {
      const { kind, stepAttempt, retryAt } = entry
      return { status: 'retrying', path, requestHash, kind, stepAttempt, retryAt }
    }
    case 'unknown': {
      const { kind, stepAttempt, intent } = entry
      return { status: 'unknown', path, requestHash, kind, stepAttempt, idempotencyKey: intent.idempotencyKey }
    }
    default:
      return { status: 'pending', path, requestHash, kind: entry.type }
  }
}
