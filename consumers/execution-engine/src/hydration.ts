import type { JournalEntry, JsonValue } from '@omium/schemas'
import { payloadOf, type RecordedEntry, toJournalEntry } from './domain/journal.ts'
import type { Payloads } from './ports.ts'

/** Entries with their values fetched; only those in object storage cost anything but a copy. */

/** so many objects are fetched at once */
const fetchesAtOnce = 16

const inlineOf = (entry: RecordedEntry): { value: JsonValue } | null => {
  const payload = payloadOf(entry)
  if (!payload) return { value: null }
  return 'inline' in payload ? { value: payload.inline } : null
}

/** The entry as it travels, at once when nothing has to be fetched. */
export const openEntry = (entry: RecordedEntry, payloads: Payloads): JournalEntry | Promise<JournalEntry> => {
  const inline = inlineOf(entry)
  if (inline) return toJournalEntry(entry, inline.value)
  const payload = payloadOf(entry)
  return payload ? payloads.open(payload).then((value) => toJournalEntry(entry, value)) : toJournalEntry(entry, null)
}

export const openJournal = async (entries: readonly RecordedEntry[], payloads: Payloads): Promise<JournalEntry[]> => {
  const opened: JournalEntry[] = new Array(entries.length)
  const toFetch: number[] = []
  for (const [i, entry] of entries.entries()) {
    const inline = inlineOf(entry)
    if (inline) opened[i] = toJournalEntry(entry, inline.value)
    else toFetch.push(i)
  }
  let next = 0
  const fetchNext = async (): Promise<void> => {
    for (let i = toFetch[next++]; i !== undefined; i = toFetch[next++]) {
      opened[i] = await openEntry(entries[i] as RecordedEntry, payloads)
    }
  }
  await Promise.all(Array.from({ length: Math.min(fetchesAtOnce, toFetch.length) }, fetchNext))
  return opened
}
