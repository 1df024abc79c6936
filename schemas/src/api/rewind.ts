import { z } from 'zod'
import { failure } from '../errors.ts'
import { executionOptions, executionStatus, runOverrides, stepPath } from '../execution/model.ts'
import { callerId, name } from '../ids.ts'
import { jsonValue } from '../json.ts'
import { journalEntry } from '../worker-protocol.ts'
import { page } from './pages.ts'

/** Shapes of going back and trying otherwise: roll backs, forks, replays of many runs, comparisons. */

export const rollBackBody = z.object({
  /** the last result that is kept; null: none of those that the run itself recorded */
  toPath: stepPath.nullable(),
  reason: z.string().max(2000).optional(),
  overrides: runOverrides.optional(),
})

/** What is changed of a run that is run again. */
const edits = {
  /** other results of steps that were taken over, e.g. of a tool or a model */
  outputs: z
    .array(z.object({ path: stepPath, output: jsonValue }))
    .max(100)
    .optional(),
  overrides: runOverrides.optional(),
  /** another agent, e.g. the next version of this one; it has to ask for the steps that were taken over */
  agent: name.optional(),
}

export const forkBody = z.object({
  id: callerId.optional(),
  /** recorded results are taken over in order up to and including this step; null: none; absent: up to the last edited one, or all */
  toPath: stepPath.nullable().optional(),
  /** with another input what was recorded is taken over without a look at what each step was asked */
  input: jsonValue.optional(),
  ...edits,
  /** laid over the options of the run that is forked */
  options: executionOptions.partial().optional(),
})

const recordedStep = z.object({
  path: stepPath,
  name: z.string(),
  kind: z.string(),
  effect: z.boolean(),
  costMicroCredits: z.number().int(),
  durationMs: z.number(),
})
const recordedSum = z.object({
  steps: z.number().int(),
  modelCalls: z.number().int(),
  inputTokens: z.number().int(),
  outputTokens: z.number().int(),
  costMicroCredits: z.number().int(),
  /** with steps that ran side by side counted once, ms */
  durationMs: z.number(),
})
export type RecordedSum = z.infer<typeof recordedSum>

/** What a roll back or a fork would do, told from what was recorded. Nothing has been done. */
export const rewindPreview = z.object({
  toPath: stepPath.nullable(),
  /** results that are kept */
  kept: recordedSum,
  /** what is likely to run again, and about what that costs: as much as the first time */
  again: recordedSum,
  /** the steps of `again`, at most 1000 */
  steps: z.array(recordedStep),
  /** those of them that have an effect outside, which would be made once more */
  effects: z.array(z.object({ path: stepPath, name: z.string() })),
  /** children that run and would be cancelled */
  children: z.array(z.object({ path: stepPath, executionId: callerId })),
  /** kept results that are replaced by edited ones */
  edited: z.array(stepPath),
})
export type RewindPreview = z.infer<typeof rewindPreview>

/** A run's recorded results in the order of settlement, those that it took over first. */
export const journalItem = z.object({ name: z.string(), entry: journalEntry })
export type JournalItem = z.infer<typeof journalItem>
export const journalPage = page(journalItem)

export const diffCauses = ['input', 'agent', 'prompt', 'model', 'tool', 'state', 'code'] as const
const diffSide = z.object({ path: stepPath, kind: z.string(), what: jsonValue.optional() })
export const runDiff = z.object({
  a: z.object({ id: callerId, agent: name, status: executionStatus, total: recordedSum }),
  b: z.object({ id: callerId, agent: name, status: executionStatus, total: recordedSum }),
  /** same steps with the same requests and results, and the same end */
  identical: z.boolean(),
  sameOutcome: z.boolean(),
  /** the first place at which they differ; null when at most their ends do, or nothing */
  divergence: z
    .object({
      /** the step at which the runs part; absent when only their ends differ */
      path: stepPath.optional(),
      cause: z.enum(diffCauses),
      detail: z.string(),
      a: diffSide.nullable(),
      b: diffSide.nullable(),
    })
    .nullable(),
  /** from the divergence on */
  downstream: z.object({
    a: recordedSum,
    b: recordedSum,
    costDeltaMicroCredits: z.number().int(),
    durationDeltaMs: z.number(),
  }),
  /** every step of either, in the order of settlement */
  steps: z.array(
    z.object({
      path: stepPath,
      kind: z.string(),
      change: z.enum(['same', 'request', 'result', 'only_a', 'only_b']),
      costDeltaMicroCredits: z.number().int(),
      durationDeltaMs: z.number(),
    }),
  ),
})
export type RunDiff = z.infer<typeof runDiff>

export const createReplayBody = z.object({
  id: callerId.optional(),
  /** finished runs of the past */
  runs: z.union([
    z.object({ ids: z.array(callerId).min(1).max(200) }),
    z.object({
      agent: name,
      status: executionStatus.optional(),
      last: z.number().int().min(1).max(200).default(50),
    }),
  ]),
  /** what is run anew begins after this many recorded results, or at this step; absent: at the start */
  from: z.union([z.object({ step: z.number().int().nonnegative() }), z.object({ path: stepPath })]).optional(),
  ...edits,
  budget: z
    .object({
      perRunMicroCredits: z.number().int().positive().optional(),
      /** shared out evenly, so that all together can never spend more */
      totalMicroCredits: z.number().int().positive().optional(),
    })
    .optional(),
})

export const replayReceipt = z.object({
  id: callerId,
  started: z.array(z.object({ of: callerId, executionId: callerId })),
  refused: z.array(z.object({ of: callerId, error: failure })),
})
export type ReplayReceipt = z.infer<typeof replayReceipt>

const compared = z.object({ was: z.number(), is: z.number(), delta: z.number() })
export const replayReport = z.object({
  id: callerId,
  runs: z.array(
    z.object({
      of: callerId,
      executionId: callerId,
      status: executionStatus,
      /** `missed`: it asked for what was never recorded; `over_budget`: its share of the budget was spent */
      outcome: z.enum(['same', 'different', 'failed', 'missed', 'over_budget', 'running']),
      error: failure.optional(),
      /** of the model calls that were made anew, and of those in their place in the past */
      modelCalls: compared,
      costMicroCredits: compared,
      modelMs: compared,
    }),
  ),
  outcomes: z.record(z.string(), z.number().int()),
  /** of the runs that have ended */
  total: z.object({ modelCalls: compared, costMicroCredits: compared, modelMs: compared }),
})
export type ReplayReport = z.infer<typeof replayReport>
