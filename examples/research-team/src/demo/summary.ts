import type { CallLogEntry } from '@omium/model-server'
import type { WorkDone } from '../work-log.ts'
import {
  type Kill,
  modelKey,
  repeatedAfterRecording,
  type SeenEvent,
  type StepRow,
  stepRows,
  type Takeover,
  takeovers,
  toolCalls,
} from './account.ts'

export interface Summary {
  readonly steps: {
    readonly recorded: number
    readonly recordedBeforeKill: number
    /** recorded by the killed worker and answered from the journal afterwards */
    readonly replayed: number
    readonly runAfterKill: number
  }
  /** undefined when no worker was killed */
  readonly takeover:
    | { readonly firstStepAfterMs: number | undefined; readonly executions: readonly Takeover[] }
    | undefined
  /** the model server's own count beside the log's; undefined for a model that keeps no call log for us */
  readonly modelCalls:
    | {
        readonly received: number
        readonly recorded: number
        /** received and never recorded: they were in flight when the worker was killed, and were made anew */
        readonly unrecorded: number
        readonly repeatedAfterRecording: readonly string[]
      }
    | undefined
  readonly toolCalls: {
    readonly made: number
    readonly recorded: number
    readonly repeatedAfterRecording: readonly string[]
  }
  readonly published: number
  readonly tokens: number
  readonly costMicroCredits: number
  readonly timeline: readonly StepRow[]
  /** what contradicts the promise that nothing recorded runs twice; empty is good */
  readonly violations: readonly string[]
}

export interface Accounts {
  readonly events: readonly SeenEvent[]
  readonly kill: Kill | undefined
  readonly work: readonly WorkDone[]
  readonly modelLog: readonly CallLogEntry[] | undefined
}

/** Compares the three accounts of a run. */
export const summarise = ({ events, kill, work, modelLog }: Accounts): Summary => {
  const timeline = stepRows(events)
  const moved = kill ? takeovers(events, kill) : []
  const lostAttempt = new Map(moved.map((one) => [one.executionId, one.lostAttempt]))
  const beforeKill = (row: StepRow): boolean =>
    kill !== undefined &&
    (lostAttempt.has(row.executionId)
      ? row.attempt <= (lostAttempt.get(row.executionId) ?? 0)
      : row.recordedAt <= kill.at)
  const recordedBeforeKill = timeline.filter(beforeKill)
  const replayed = recordedBeforeKill.filter((row) => lostAttempt.has(row.executionId))

  const llm = timeline.filter((row) => row.kind === 'llm')
  const received = modelLog?.filter((entry) => entry.event === 'received')
  const modelCalls = received && {
    received: received.length,
    recorded: llm.length,
    unrecorded: received.length - llm.length,
    repeatedAfterRecording: repeatedAfterRecording(
      received.map((entry) => ({ key: modelKey(entry.requestHash), at: entry.at })),
      llm,
    ),
  }
  const tools = timeline.filter((row) => row.kind === 'tool')
  const toolWork = work.filter((done) => done.tool !== 'publish')
  const toolRepeats = repeatedAfterRecording(toolCalls(toolWork), tools)
  const published = work.filter((done) => done.tool === 'publish').length
  const firstSteps = moved.flatMap((one) => one.firstStepAfterMs ?? [])

  return {
    steps: {
      recorded: timeline.length,
      recordedBeforeKill: recordedBeforeKill.length,
      replayed: replayed.length,
      runAfterKill: kill ? timeline.length - recordedBeforeKill.length : 0,
    },
    takeover: kill && {
      firstStepAfterMs: firstSteps.length > 0 ? Math.min(...firstSteps) : undefined,
      executions: moved,
    },
    modelCalls,
    toolCalls: { made: toolWork.length, recorded: tools.length, repeatedAfterRecording: toolRepeats },
    published,
    tokens: timeline.reduce((sum, row) => sum + row.tokens, 0),
    costMicroCredits: timeline.reduce((sum, row) => sum + row.costMicroCredits, 0),
    timeline,
    violations: [
      ...(modelCalls?.repeatedAfterRecording ?? []).map((key) => `a recorded model call was made again: ${key}`),
      ...toolRepeats.map((key) => `a recorded tool call was made again: ${key}`),
      ...(modelCalls && modelCalls.unrecorded < 0
        ? ['the log has more model calls than the model server received']
        : []),
      ...(published > 1 ? [`the report was published ${published} times`] : []),
    ],
  }
}
