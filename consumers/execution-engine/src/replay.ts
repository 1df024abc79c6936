import { isDeepStrictEqual } from 'node:util'
import { objectSettings, openObjects } from '@omium/kit'
import { type AcceptedEvent, type LogContext, logSettings, openLog, openTail, partitionFor } from '@omium/log'
import { createPayloadStore, type PayloadStore } from '@omium/payloads'
import {
  aggregateKey,
  commandsTopic,
  type ExecutionEvent,
  type ExecutionView,
  eventsTopic,
  executionContext,
  JournalCollector,
  OmiumError,
  readSettings,
} from '@omium/schemas'
import { evolve } from './domain/evolve.ts'
import type { ExecutionState } from './domain/execution.ts'

/**
 * Folds one run anew from the log, by the acceptance rule and the domain, and compares what comes out with what the read
 * model shows. Reads only.
 */
export interface ReplayReport {
  readonly agrees: boolean
  /** records of this run that count, and those that the acceptance rule refused */
  readonly accepted: number
  readonly rejected: number
  readonly differences: readonly { field: string; log: unknown; readModel: unknown }[]
}

export interface ReplayOptions {
  /** the settings of the log and the object store, as the engine reads them */
  readonly env: Record<string, string | undefined>
  readonly executionId: string
  /** the tenant of the run; without it any tenant's run with this id is taken, and two are an error */
  readonly tenant?: string
  /** what the read model says; compared at its own version of the run */
  readonly readModel: ExecutionView
}

/**
 * @throws OmiumError `settings_invalid`, `log_unreachable`, `execution_unknown` when the log has no such run,
 * `record_unfoldable` when the domain cannot apply what is recorded
 */
export const replayExecution = async (options: ReplayOptions): Promise<ReplayReport> => {
  const settings = readSettings(options.env, [...logSettings, ...objectSettings])
  const context = await openLog(settings, {
    definition: executionContext,
    clientId: 'omium-replay',
    onNotice: () => {},
  })
  try {
    const { events, rejected } = await historyOf(context, options)
    const objects = await openObjects(settings)
    try {
      const counted = events.filter(({ envelope }) => envelope.version <= options.readModel.version)
      const differences = await compare(foldHistory(counted), counted, options.readModel, createPayloadStore(objects))
      return { agrees: differences.length === 0, accepted: events.length, rejected, differences }
    } finally {
      await objects.close()
    }
  } finally {
    await context.transport.close()
  }
}

/** @throws OmiumError `record_unfoldable` */
export const foldHistory = (events: readonly AcceptedEvent[]): ExecutionState => {
  let state: ExecutionState | undefined
  for (const { envelope, type, data } of events) {
    const { tenant, correlationId, time, version } = envelope
    try {
      state = evolve(state, { type, data } as ExecutionEvent, { tenant, correlationId, time })
    } catch (error) {
      throw new OmiumError('record_unfoldable', `${type} at version ${version} cannot be applied`, { cause: error })
    }
  }
  if (!state) throw new OmiumError('execution_unknown', 'the log has no such execution')
  return state
}

const historyOf = async (
  context: LogContext,
  { executionId, tenant, readModel }: ReplayOptions,
): Promise<{ events: AcceptedEvent[]; rejected: number }> => {
  const { transport, topicPrefix, definition } = context
  const count = await transport.partitionCount(commandsTopic(topicPrefix, definition.name))
  const ends = await transport.endOffsets(eventsTopic(topicPrefix, definition.name))
  // the read model knows the partition; a tenant says it too
  const partition =
    tenant === undefined
      ? Number(readModel.position.split(':')[0])
      : partitionFor(aggregateKey('execution', tenant, executionId), count)
  const end = ends.get(partition) ?? 0
  const isIt = (aggregate: string): boolean =>
    tenant === undefined
      ? aggregate.startsWith('execution:') && aggregate.endsWith(`/${executionId}`)
      : aggregate === aggregateKey('execution', tenant, executionId)
  const events: AcceptedEvent[] = []
  let rejected = 0
  if (end === 0) return { events, rejected }
  const tail = await openTail(context, [{ partition, fromOffset: 0 }])
  try {
    for (let batch = await tail.next(); batch; batch = await tail.next()) {
      for (const event of batch.events) {
        if (isIt(event.envelope.aggregate) && event.envelope.version > 0) events.push(event)
      }
      rejected += batch.rejected.filter(({ record }) => record.key !== null && isIt(record.key)).length
      if (batch.nextOffset >= end) break
    }
  } finally {
    await tail.close()
  }
  if (new Set(events.map(({ envelope }) => envelope.aggregate)).size > 1) {
    throw new OmiumError('invalid_request', `several tenants have an execution ${executionId}; name one`)
  }
  return { events, rejected }
}

const compare = async (
  state: ExecutionState,
  events: readonly AcceptedEvent[],
  readModel: ExecutionView,
  payloads: Pick<PayloadStore, 'open'>,
): Promise<ReplayReport['differences']> => {
  const { outcome } = state
  const journal = new JournalCollector()
  let completed = new Set<string>()
  let costMicroCredits = 0
  for (const { type, data } of events as readonly (AcceptedEvent & ExecutionEvent)[]) {
    journal.add({ type, data } as ExecutionEvent)
    if (type === 'StepCompleted' || (type === 'StepOutcomeResolved' && data.resolution.status === 'completed')) {
      completed.add(data.path)
    } else if (type === 'ExecutionRolledBack') {
      completed = new Set(journal.entries.map(({ path }) => path).filter((path) => completed.has(path)))
    }
    if (type === 'StepCompleted' || type === 'StepFailed') costMicroCredits += data.usage?.costMicroCredits ?? 0
  }
  const log: Partial<Record<keyof ExecutionView, unknown>> = {
    id: state.executionId,
    agent: state.agentId,
    status: state.status,
    attempt: state.attempt,
    stepsCompleted: completed.size,
    costMicroCredits,
    version: events.at(-1)?.envelope.version,
    ...(readModel.input !== undefined && { input: await payloads.open(state.input) }),
    ...(outcome?.status === 'completed' && { output: await payloads.open(outcome.output) }),
    ...(outcome?.status === 'failed' && { error: outcome.error }),
    ...(state.parent && { parentId: state.parent.executionId }),
  }
  const fields = Object.keys(log) as (keyof ExecutionView)[]
  return fields
    .filter((field) => !isDeepStrictEqual(plain(log[field]), plain(readModel[field])))
    .map((field) => ({ field, log: log[field], readModel: readModel[field] }))
}

const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)))
