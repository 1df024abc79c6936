import type {
  JournalItem,
  ReplayReceipt,
  ReplayReport,
  RewindPreview,
  RunDiff,
  RunOverrides,
  WriteReceipt,
} from '@omium/schemas'
import type { RunOptions } from '../context.ts'
import { toPlainJson } from '../replay/plain-json.ts'
import type { Http } from './http.ts'
import { pages } from './pages.ts'

/** What is changed of a run that is run again. */
export interface Edits {
  /** other results of steps that are taken over, e.g. of a tool or a model */
  outputs?: readonly { path: string; output: unknown }[]
  /** another model, more instructions, a shorter context, for model calls that are really made */
  overrides?: RunOverrides
  /** another agent, e.g. the next version of this one */
  agent?: string
}

export interface ForkOptions extends Edits {
  id?: string
  /** the last result that is taken over; null: none; by default up to the last edited one, or all */
  toPath?: string | null
  /** with another input what was recorded is taken over without a look at what each step was asked */
  input?: unknown
  /** laid over the options of the run that is forked */
  options?: RunOptions
}

export interface RollBackOptions {
  reason?: string
  overrides?: RunOverrides
}

export interface ReplayRequest extends Edits {
  id?: string
  /** finished runs of the past: these, or the last ones of an agent */
  runs: { ids: readonly string[] } | { agent: string; status?: 'completed' | 'failed' | 'cancelled'; last?: number }
  /** what is run anew begins after this many recorded results, or at this step; by default at the start */
  from?: { step: number } | { path: string }
  budget?: { perRunMicroCredits?: number; totalMicroCredits?: number }
}

/** What a run's handle can do beside steering it. */
export interface Rewinding<Handle> {
  /** Forgets what was recorded after a step (null: all), stops the live attempt and goes on from there. */
  rollBack(toPath: string | null, options?: RollBackOptions): Promise<WriteReceipt>
  /** What a roll back would keep, run again and cost; changes nothing. */
  previewRollBack(toPath: string | null): Promise<RewindPreview>
  /** A new run from what this one has recorded, with changes if wanted. */
  fork(options?: ForkOptions): Promise<Handle>
  previewFork(options?: ForkOptions): Promise<RewindPreview>
  /** All recorded results, in the order in which code got them. */
  journal(): AsyncIterable<JournalItem>
  /** Where this run and another part, why, and what follows from it. */
  diff(otherId: string): Promise<RunDiff>
}

const editsOf = ({ outputs, overrides, agent }: Edits) => ({
  outputs: outputs?.map(({ path, output }) => ({ path, output: toPlainJson(output, `the output of ${path}`) })),
  overrides,
  agent,
})

export const forkBodyOf = (options: ForkOptions) => {
  const { toPath, input, options: runOptions, id } = options
  return {
    id,
    toPath,
    ...(input !== undefined && { input: toPlainJson(input, 'the input') }),
    options: runOptions,
    ...editsOf(options),
  }
}

/** The reads; what changes the run goes through its handle. */
export const rewindReads = (http: Http, id: string) => {
  const path = { id }
  return {
    previewRollBack: (toPath: string | null): Promise<RewindPreview> =>
      http.call('POST /v1/executions/{id}/rollback/preview', { path, body: { toPath } }),
    previewFork: (options: ForkOptions = {}): Promise<RewindPreview> =>
      http.call('POST /v1/executions/{id}/fork/preview', { path, body: forkBodyOf(options) }),
    journal: (): AsyncIterable<JournalItem> => pages(http, 'GET /v1/executions/{id}/journal', { path }),
    diff: (other: string): Promise<RunDiff> =>
      http.call('GET /v1/executions/{id}/diff/{other}', { path: { id, other } }),
  }
}

/** Sets of past runs, run once more otherwise. */
export interface Replays {
  create(request: ReplayRequest): Promise<ReplayReceipt>
  report(id: string): Promise<ReplayReport>
}

export const replaysOf = (http: Http, newReplayId: () => string): Replays => ({
  create: ({ id = newReplayId(), runs, from, budget, ...edits }) =>
    http.call('POST /v1/replays', { body: { id, runs, from, budget, ...editsOf(edits) }, usualTimeoutMs: 300_000 }),
  report: (id) => http.call('GET /v1/replays/{id}', { path: { id }, usualTimeoutMs: 120_000 }),
})
