import {
  type ExecutionOptions,
  executionOptions,
  type forkBody,
  type JsonValue,
  mergeOverrides,
  type Payload,
  type RunOverrides,
  requestHashOf,
  type WriteReceipt,
} from '@omium/schemas'
import type { z } from 'zod'
import { type Asker, deterministicCommandId } from '../commands.ts'
import type { Payloads } from '../payloads.ts'
import type { Services } from '../services.ts'
import type { RunHistory } from './history.ts'
import { forkPoint, keptCount } from './preview.ts'
import { forkSeed, recordingsOf } from './seed.ts'

export type ForkRequest = Omit<z.infer<typeof forkBody>, 'id' | 'options'>

/** How many results the fork takes over. @throws OmiumError `step_unknown` */
export const keptBy = (history: RunHistory, { toPath, outputs = [] }: ForkRequest): number =>
  keptCount(
    history,
    forkPoint(
      history,
      toPath,
      outputs.map(({ path }) => path),
    ),
  )

const present = <T extends object>(value: T | undefined): T | undefined =>
  value && Object.values(value).some((part) => part !== undefined) ? value : undefined

/** Labels of the set of runs that a run was part of do not hold for what is forked from it. */
const labelsOf = (options: ExecutionOptions): ExecutionOptions['labels'] => {
  if (!options.labels) return undefined
  const { replay: _, 'replay-of': __, ...labels } = options.labels
  return labels
}

/** The options of a fork: those of its origin, with what was asked laid over them. */
export const forkOptions = (
  source: ExecutionOptions,
  asked: z.infer<typeof forkBody>['options'] = {},
): ExecutionOptions => executionOptions.parse({ ...source, labels: labelsOf(source), ...asked })

/** A value of another run, stored again as one of this run. */
const takenOver = async (payloads: Payloads, tenant: string, forkId: string, payload: Payload): Promise<Payload> =>
  'inline' in payload ? payload : payloads.seal(tenant, forkId, await payloads.open(payload))

/**
 * Starts a run from what another has recorded. The same id and request start one run, however often they are sent.
 *
 * The fork takes along everything that it will ever need of its origin: input, results, recordings. Nothing that is removed of
 * the origin afterwards, or while the fork is being made, can take anything from it.
 * @param partOf what the fork is started for; another one makes it another request
 * @throws OmiumError `step_unknown`, `agent_unknown`, `input_invalid`, `payload_too_large`
 */
export const startFork = async (
  { commands, agents, payloads }: Services,
  asker: Asker,
  forkId: string,
  history: RunHistory,
  asked: ForkRequest,
  options: ExecutionOptions,
  partOf?: JsonValue,
): Promise<WriteReceipt> => {
  const { tenant } = asker
  const { record } = history
  const { input, outputs, agent = record.agent } = asked
  const definition = await agents.get(tenant, agent)
  if (input !== undefined) agents.checkInput(tenant, definition, input)
  const kept = keptBy(history, asked)
  const toPath = history.steps[kept - 1]?.path
  const seed = await forkSeed(history, payloads, { kept, outputs, anyInput: input !== undefined })
  const recordings = options.simulate === true ? await recordingsOf(history, payloads) : undefined
  const askedOverrides = present<RunOverrides>(asked.overrides)
  const overrides = askedOverrides ? mergeOverrides(history.overrides, askedOverrides) : history.overrides
  const edited = input !== undefined || (outputs?.length ?? 0) > 0 || agent !== record.agent || !!askedOverrides
  const sourceInput = record.input ?? { inline: null }
  // a fork is another request than a plain start with the same input
  const requestHash = requestHashOf({
    agent,
    input: input ?? sourceInput,
    forkedFrom: record.id,
    toPath: asked.toPath ?? null,
    ...(outputs && { outputs }),
    ...(askedOverrides && { overrides: askedOverrides }),
    ...(recordings && { simulate: true }),
    ...(partOf !== undefined && { partOf }),
  })
  return commands.execute(asker, forkId, deterministicCommandId('start', tenant, forkId, requestHash), {
    type: 'StartExecution',
    data: {
      executionId: forkId,
      agentId: agent,
      input:
        input === undefined
          ? await takenOver(payloads, tenant, forkId, sourceInput)
          : await payloads.seal(tenant, forkId, input),
      requestHash,
      options,
      forkedFrom: {
        executionId: record.id,
        ...(toPath !== undefined && { uptoPath: toPath }),
        seed: await payloads.seal(tenant, forkId, seed as unknown as JsonValue),
        ...(recordings && { recordings: await payloads.seal(tenant, forkId, recordings as unknown as JsonValue) }),
        ...(edited && { edited }),
      },
      ...(overrides && { overrides }),
    },
  })
}
