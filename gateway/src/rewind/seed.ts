import { maxPayloadBytes } from '@omium/payloads'
import {
  anyRequest,
  type JournalEntry,
  type JsonValue,
  OmiumError,
  payloadOfSettled,
  type Recording,
} from '@omium/schemas'
import type { Payloads } from '../payloads.ts'
import { journalEntryOf, type RecordedStep, type RunHistory } from './history.ts'

export interface Edit {
  readonly path: string
  readonly output: JsonValue
}

/**
 * What is carried along travels as one value: more than that is not even fetched.
 * @throws OmiumError `payload_too_large`
 */
const requireCarriable = (steps: readonly RecordedStep[], id: string): void => {
  let bytes = 0
  for (const { own } of steps) {
    const payload = own && payloadOfSettled(own)
    if (payload && 'ref' in payload) bytes += payload.ref.bytes
  }
  if (bytes <= maxPayloadBytes) return
  const detail = `the results of execution ${id} that would be taken over have ${bytes} bytes, ${maxPayloadBytes} are allowed; take over fewer`
  throw new OmiumError('payload_too_large', detail)
}

/**
 * The journal that a fork starts from: the first `kept` results of a run, with the edited ones in their place.
 * @param anyInput the fork has another input: what its steps are asked will differ from the record, and fits all the same
 * @throws OmiumError `step_unknown` when an edited result is not among those that are kept, `payload_too_large`
 */
export const forkSeed = async (
  history: RunHistory,
  payloads: Payloads,
  { kept, outputs = [], anyInput }: { kept: number; outputs?: readonly Edit[] | undefined; anyInput: boolean },
): Promise<JournalEntry[]> => {
  const edited = new Map(outputs.map(({ path, output }) => [path, output]))
  const seed: JournalEntry[] = []
  const taken = history.steps.slice(0, kept)
  requireCarriable(
    taken.filter(({ path }) => !edited.has(path)),
    history.record.id,
  )
  for (const step of taken) {
    const requestHash = anyInput ? anyRequest : step.requestHash
    const { path, kind } = step
    const value = edited.get(path)
    if (value !== undefined) seed.push({ status: 'completed', path, kind, requestHash, value })
    else seed.push({ ...(await journalEntryOf(step, payloads)), requestHash })
    edited.delete(path)
  }
  const [missing] = edited.keys()
  if (missing !== undefined) {
    const detail = `outputs: the fork takes over no result at ${missing} of execution ${history.record.id}`
    throw new OmiumError('step_unknown', detail)
  }
  return seed
}

/** What a simulated run is answered from: everything that is not a model's answer. */
export const recordingsOf = async (history: RunHistory, payloads: Payloads): Promise<Recording[]> => {
  const recordings: Recording[] = []
  const answers = history.steps.filter(({ kind }) => kind !== 'llm' && kind !== 'value')
  requireCarriable(answers, history.record.id)
  for (const step of answers) {
    const { path, name, kind, requestHash } = step
    const entry = await journalEntryOf(step, payloads)
    const base = { name, kind, path, requestHash }
    if (entry.status === 'completed') recordings.push({ ...base, value: entry.value })
    else if (entry.status === 'failed') recordings.push({ ...base, error: entry.error })
  }
  return recordings
}
