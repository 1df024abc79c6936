import { isDeepStrictEqual } from 'node:util'
import { type JournalEntry, type JsonValue, OmiumError } from '@omium/schemas'
import type { AnyAgent } from '../context.ts'
import { defaultPrices } from '../llm/prices.ts'
import { TestEngine } from '../testing/engine.ts'
import type { Outcome } from '../testing/execution.ts'

/**
 * Runs a finished run against today's code: every answer comes from what was recorded, nothing else is made.
 *
 * 1. The record is followed to the letter: another request at a recorded place, and a recorded result that nobody asks for,
 *    are mismatches; what the record does not have is a miss. Neither leads to a call.
 * 2. A run that was ended from outside (cancelled, out of time, out of attempts) has no end of its own: reaching the end of
 *    its record is the same.
 */
export interface RecordedRun {
  readonly id: string
  readonly agent: string
  readonly input: JsonValue
  readonly journal: readonly JournalEntry[]
  readonly outcome:
    | { readonly status: 'completed'; readonly output: JsonValue }
    | { readonly status: 'failed'; readonly code: string; readonly detail: string }
    | { readonly status: 'cancelled' }
}

export const verdicts = ['same', 'different', 'mismatch', 'miss', 'error'] as const
export interface Verdict {
  readonly id: string
  /** `error`: it could not be replayed at all, e.g. because the code has no such agent */
  readonly verdict: (typeof verdicts)[number]
  readonly detail: string
  /** the step that did not fit */
  readonly path?: string
}

const limitMs = 30_000
const startTimeMs = Date.UTC(2026, 0, 1)
/** ends that the platform sets, whatever the code was about to do */
const fromOutside: readonly string[] = [
  'execution_timeout',
  'attempts_exhausted',
  'worker_lost',
  'execution_parked',
  'attempt_fenced',
  'budget_exceeded',
]

const noModel = (): never => {
  throw new OmiumError('replay_miss', 'no model is called in a replay')
}

export const replayRecorded = async (agent: AnyAgent, run: RecordedRun): Promise<Verdict> => {
  const engine = new TestEngine({
    startTimeMs,
    mocks: {},
    agents: [],
    inlineChildren: false,
    approve: () => undefined,
    crashesAfter: () => false,
    llm: { complete: noModel, prices: defaultPrices },
    limitMs,
    hermetic: true,
  })
  try {
    const execution = await engine.execute(run.id, agent, run.input, [], { journal: run.journal })
    return judge(run, execution.outcome ?? { status: 'waiting', waitingFor: [] })
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return { id: run.id, verdict: 'error', detail }
  }
}

const pathIn = (data: JsonValue | undefined): { path?: string } => {
  const path = data !== null && typeof data === 'object' && !Array.isArray(data) ? data['path'] : undefined
  return typeof path === 'string' ? { path } : {}
}

const excerpt = (value: JsonValue): string => {
  const text = JSON.stringify(value)
  return text.length > 200 ? `${text.slice(0, 199)}…` : text
}

const judge = ({ id, outcome: was }: RecordedRun, is: Outcome): Verdict => {
  const openEnd = was.status === 'cancelled' || (was.status === 'failed' && fromOutside.includes(was.code))
  if (is.status === 'failed') {
    const { code, detail, data } = is.error
    if (code === 'replay_mismatch' && !(was.status === 'failed' && was.code === code)) {
      return { id, verdict: 'mismatch', detail, ...pathIn(data) }
    }
    if (code === 'replay_miss') {
      return openEnd
        ? { id, verdict: 'same', detail: 'up to the end of its record' }
        : { id, verdict: 'miss', detail, ...pathIn(data) }
    }
    if (was.status === 'failed' && was.code === code) return { id, verdict: 'same', detail: `failed with ${code}` }
    const recorded = was.status === 'failed' ? `failed with ${was.code}` : was.status
    return { id, verdict: 'different', detail: `recorded: ${recorded}; now: failed with ${code}: ${detail}` }
  }
  if (openEnd) return { id, verdict: 'same', detail: 'up to the end of its record' }
  if (is.status === 'waiting') return { id, verdict: 'different', detail: 'the code does not come to an end' }
  if (was.status === 'completed' && isDeepStrictEqual(was.output, is.output)) {
    return { id, verdict: 'same', detail: 'completed with the same output' }
  }
  const recorded =
    was.status === 'completed' ? excerpt(was.output) : `${was.status}${'code' in was ? ` with ${was.code}` : ''}`
  return { id, verdict: 'different', detail: `recorded: ${recorded}; now: ${excerpt(is.output)}` }
}
