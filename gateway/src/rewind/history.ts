import { createHash } from 'node:crypto'
import type { ExecutionRecord } from '@omium/projection-executions'
import {
  type JournalCollector,
  type JournalEntry,
  type Opened,
  type Payload,
  payloadOfSettled,
  type RunOverrides,
  type SettledEntry,
  settledJournalEntry,
  type Usage,
} from '@omium/schemas'
import type { Payloads } from '../payloads.ts'
import type { ComparedRun } from './diff.ts'

/** A run as it was recorded: what it took over, then its own results in the order of settlement. */
export interface RunHistory {
  readonly record: ExecutionRecord
  readonly steps: readonly RecordedStep[]
  readonly open: readonly Opened[]
  readonly overrides: RunOverrides | undefined
  /** all that it took over from another run when it was started */
  readonly taken: readonly JournalEntry[]
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

/** Computed when it is first asked for: most readers compare nothing. */
const once = (compute: () => string): (() => string) => {
  let value: string | undefined
  return () => {
    value ??= compute()
    return value
  }
}

const ownStep = (entry: SettledEntry): RecordedStep => {
  const digest = once(() => digestOfEntry(entry))
  return {
    path: entry.path,
    name: entry.name,
    kind: entry.kind,
    requestHash: entry.requestHash,
    effect: entry.effect,
    input: entry.input,
    get digest() {
      return digest()
    },
    failed: entry.result.type === 'error',
    seeded: false,
    usage: entry.usage,
    startedAt: entry.startedAt,
    durationMs: entry.durationMs,
    own: entry,
    taken: null,
  }
}

const takenStep = (entry: JournalEntry, at: number): RecordedStep => {
  const digest = once(() =>
    entry.status === 'completed'
      ? digestOf(entry.value)
      : digestOf(entry.status === 'failed' ? [entry.error.code, entry.error.detail] : null),
  )
  return {
    path: entry.path,
    name: nameIn(entry.path),
    kind: entry.kind,
    requestHash: entry.requestHash,
    effect: false,
    input: undefined,
    get digest() {
      return digest()
    },
    failed: entry.status === 'failed',
    seeded: true,
    usage: {},
    startedAt: at,
    durationMs: 0,
    own: null,
    taken: entry,
  }
}

/** @param seed what the run took over from another one, whether it still counts or not */
export const historyOf = (
  record: ExecutionRecord,
  journal: JournalCollector,
  seed: readonly JournalEntry[],
): RunHistory => {
  const at = record.createdAt.getTime()
  const last = journal.seedUpto === undefined ? -1 : seed.findIndex(({ path }) => path === journal.seedUpto)
  const counting = last < 0 ? seed : seed.slice(0, last + 1)
  const own = journal.entries
  const replaced = new Set(own.map(({ path }) => path))
  return {
    record,
    steps: [
      // a recovery may have put a value in the place of one that was taken over
      ...counting.filter(({ path }) => !replaced.has(path)).map((entry) => takenStep(entry, at)),
      ...own.map(ownStep),
    ],
    open: journal.open,
    overrides: journal.overrides,
    taken: seed,
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
