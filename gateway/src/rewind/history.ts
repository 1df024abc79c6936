import { createHash } from 'node:crypto'
import { type ExecutionRecord, listEvents } from '@omium/projection-executions'
import {
  type ExecutionEvent,
  JournalCollector,
  type JournalEntry,
  type Opened,
  type Payload,
  payloadOfSettled,
  type RunOverrides,
  type SettledEntry,
  settledJournalEntry,
  type Usage,
} from '@omium/schemas'
import type { Pool } from 'pg'
import type { Payloads } from '../payloads.ts'
import type { ComparedRun } from './diff.ts'

/** A run as it was recorded: what it took over, then its own results in the order of settlement. */
export interface RunHistory {
  readonly record: ExecutionRecord
  readonly steps: readonly RecordedStep[]
  readonly open: readonly Opened[]
  readonly overrides: RunOverrides | undefined
}

export interface RecordedStep {
  readonly path: string
  readonly name: string
  readonly kind: string
  readonly requestHash: string
  readonly effect: boolean
  readonly input: Payload | undefined
  /** SHA-256 of the result, equal for equal results wherever they are stored */
  readonly digest: string
  readonly failed: boolean
  /** taken over from another run, which paid for it */
  readonly seeded: boolean
  readonly usage: Usage
  readonly startedAt: number
  readonly durationMs: number
  /** the result as a worker replays it */
  readonly own: SettledEntry | null
  readonly taken: JournalEntry | null
}

const pageSize = 1000

const digestOf = (value: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(value) ?? 'null')
    .digest('hex')

const digestOfPayload = (payload: Payload): string =>
  'inline' in payload ? digestOf(payload.inline) : payload.ref.sha256

const digestOfEntry = ({ result }: SettledEntry): string => {
  if (result.type === 'error') return digestOf([result.error.code, result.error.detail])
  if (result.type === 'value') return digestOfPayload(result.payload)
  // a signal's payload is seen wrapped, see the worker protocol; one that is stored apart is compared by its own digest
  return 'inline' in result.payload
    ? digestOf({ timedOut: false, payload: result.payload.inline })
    : result.payload.ref.sha256
}

/** The name that a step had in the run that made it: its path without occurrence, key and levels above. */
export const nameIn = (path: string): string => (path.split('/').at(-1) ?? path).split(/[#:]/)[0] ?? path

const ownStep = (entry: SettledEntry): RecordedStep => ({
  path: entry.path,
  name: entry.name,
  kind: entry.kind,
  requestHash: entry.requestHash,
  effect: entry.effect,
  input: entry.input,
  digest: digestOfEntry(entry),
  failed: entry.result.type === 'error',
  seeded: false,
  usage: entry.usage,
  startedAt: entry.startedAt,
  durationMs: entry.durationMs,
  own: entry,
  taken: null,
})

const takenStep = (entry: JournalEntry, at: number): RecordedStep => ({
  path: entry.path,
  name: nameIn(entry.path),
  kind: entry.kind,
  requestHash: entry.requestHash,
  effect: false,
  input: undefined,
  digest:
    entry.status === 'completed'
      ? digestOf(entry.value)
      : digestOf(entry.status === 'failed' ? [entry.error.code, entry.error.detail] : null),
  failed: entry.status === 'failed',
  seeded: true,
  usage: {},
  startedAt: at,
  durationMs: 0,
  own: null,
  taken: entry,
})

/** Reads a run's history; costs one pass over its events. */
export const readHistory = async (
  { pool, payloads }: { pool: Pool; payloads: Payloads },
  tenant: string,
  record: ExecutionRecord,
): Promise<RunHistory> => {
  const journal = new JournalCollector()
  for (let afterVersion = 0; ; ) {
    const events = await listEvents(pool, tenant, record.id, { afterVersion, limit: pageSize })
    for (const event of events) journal.add(event as unknown as ExecutionEvent, event.time.getTime())
    if (events.length < pageSize) break
    afterVersion = events.at(-1)?.version ?? afterVersion
  }
  const at = record.createdAt.getTime()
  const seed = journal.seed ? ((await payloads.open(journal.seed)) as unknown as JournalEntry[]) : []
  const last = journal.seedUpto === undefined ? -1 : seed.findIndex(({ path }) => path === journal.seedUpto)
  const taken = last < 0 ? seed : seed.slice(0, last + 1)
  const own = journal.entries
  const replaced = new Set(own.map(({ path }) => path))
  return {
    record,
    steps: [
      // a recovery may have put a value in the place of one that was taken over
      ...taken.filter(({ path }) => !replaced.has(path)).map((entry) => takenStep(entry, at)),
      ...own.map(ownStep),
    ],
    open: journal.open,
    overrides: journal.overrides,
  }
}

/** The step's result as a worker replays it, fetched from object storage when it is large. */
export const journalEntryOf = async (step: RecordedStep, payloads: Payloads): Promise<JournalEntry> => {
  if (step.taken) return step.taken
  const own = step.own as SettledEntry
  const payload = payloadOfSettled(own)
  return settledJournalEntry(own, payload ? await payloads.open(payload) : null)
}

/** The run as it is compared with others. */
export const comparedRun = ({ record, steps }: RunHistory): ComparedRun => ({
  id: record.id,
  agent: record.agent,
  status: record.status,
  inputDigest: digestOfPayload(record.input ?? { inline: null }),
  outcomeDigest: record.output
    ? digestOfPayload(record.output)
    : record.error
      ? digestOf([record.error.code, record.error.detail])
      : null,
  steps,
})
