import { JournalCollector, listEvents, type SettledEntry } from '@omium/projection-executions'
import { type ExecutionEvent, type JournalEntry, type JsonValue, OmiumError } from '@omium/schemas'
import type { Pool } from 'pg'
import type { Payloads } from './payloads.ts'

const pageSize = 1000

/**
 * The journal that a fork starts from: the settled results of a run in the order of settlement, those that it took over
 * itself first, up to and including `uptoPath`.
 * @throws OmiumError `invalid_request` when nothing was recorded at `uptoPath`
 */
export const forkSeed = async (
  pool: Pool,
  payloads: Payloads,
  tenant: string,
  executionId: string,
  uptoPath: string | undefined,
): Promise<JournalEntry[]> => {
  const journal = new JournalCollector()
  for (let afterVersion = 0; ; ) {
    const events = await listEvents(pool, tenant, executionId, { afterVersion, limit: pageSize })
    for (const event of events) journal.add(event as unknown as ExecutionEvent)
    if (events.length < pageSize) break
    afterVersion = events.at(-1)?.version ?? afterVersion
  }
  const takenOver = journal.seed ? ((await payloads.open(journal.seed)) as unknown as JournalEntry[]) : []
  const seed: JournalEntry[] = []
  for (const entry of takenOver) {
    seed.push(entry)
    if (entry.path === uptoPath) return seed
    if (entry.path === journal.seedUpto) break
  }
  for (const entry of journal.entries) {
    seed.push(await toJournalEntry(entry, payloads))
    if (entry.path === uptoPath) return seed
  }
  if (uptoPath !== undefined) {
    throw new OmiumError('invalid_request', `uptoPath: execution ${executionId} has no settled result at ${uptoPath}`)
  }
  return seed
}

const toJournalEntry = async (
  { path, kind, requestHash, result }: SettledEntry,
  payloads: Payloads,
): Promise<JournalEntry> => {
  const entry = { path, kind, requestHash }
  if (result.type === 'error') return { ...entry, status: 'failed', error: result.error }
  const value: JsonValue = await payloads.open(result.payload)
  return {
    ...entry,
    status: 'completed',
    value: result.type === 'signal' ? { timedOut: false, payload: value } : value,
  }
}
