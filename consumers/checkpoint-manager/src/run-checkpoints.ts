import {
  type JournalEntry,
  type JsonValue,
  maxCheckpointBytes,
  type Payload,
  payloadOfSettled,
  type SettledEntry,
  settledJournalEntry,
} from '@omium/schemas'

/** A run's journal as a checkpoint holds it: what a fork from there would take over. */

/** Opens values that travel by reference. */
export type OpenPayload = (payload: Payload) => Promise<JsonValue>

/** What a run has recorded at a moment. */
export interface RecordedJournal {
  /** taken over from another run */
  readonly seed: Payload | undefined
  /** the last of those that still counts after a roll back; undefined: all of them */
  readonly seedUpto: string | undefined
  readonly entries: readonly SettledEntry[]
}

/** Everything that is settled, in the order of settlement, what was taken over from another run first. */
export const journalOf = async (
  { seed, seedUpto, entries }: RecordedJournal,
  open: OpenPayload,
): Promise<JournalEntry[]> => {
  const takenOver = seed ? ((await open(seed)) as unknown as JournalEntry[]) : []
  const own: JournalEntry[] = []
  for (const entry of entries) {
    const payload = payloadOfSettled(entry)
    own.push(settledJournalEntry(entry, payload ? await open(payload) : null))
  }
  const upto = seedUpto === undefined ? -1 : takenOver.findIndex(({ path }) => path === seedUpto)
  const counted = upto < 0 ? takenOver : takenOver.slice(0, upto + 1)
  // a recovery may have put a value in the place of one that was taken over
  const replaced = new Set(entries.map(({ path }) => path))
  return [...counted.filter(({ path }) => !replaced.has(path)), ...own]
}

/**
 * Whether the results alone are more than a checkpoint may hold. Asked before they are opened: a run may have recorded more
 * than fits into this process.
 */
export const isTooLarge = ({ entries }: Pick<RecordedJournal, 'entries'>): boolean => {
  let bytes = 0
  for (const entry of entries) {
    const payload = payloadOfSettled(entry)
    if (payload) bytes += 'ref' in payload ? payload.ref.bytes : JSON.stringify(payload.inline).length
    if (bytes > maxCheckpointBytes) return true
  }
  return false
}

/** Equal journals have equal bytes. */
export const journalBytes = (journal: readonly JournalEntry[]): Buffer => Buffer.from(JSON.stringify(journal))
