import {
  hashJson,
  type JsonValue,
  type Payload,
  type TriggerCommand,
  type TriggerEvent,
  type TriggerSpec,
  workflowRunId,
} from '@omium/schemas'
import { type Decision, decided, keepNewest, refused } from './decision.ts'
import type { Identity } from './workflow.ts'

/**
 * A trigger as the fold of its events.
 *
 * 1. An event starts at most one run: the id of the run is made of the trigger and the event.
 * 2. Positions in a topic only go forward. Without any, what counts is of the time when the trigger was made, or resumed after a
 *    pause, or later: also of a topic that comes into being only then.
 * 3. Ends of workflows that start workflows are chains, and no chain is endless.
 */
export interface TriggerState {
  readonly tenant: string
  readonly triggerId: string
  readonly correlationId: string
  spec: TriggerSpec
  status: 'active' | 'paused' | 'deleted'
  /** how often it was put */
  generation: number
  /** workflows that it was subscribed to and is not any more */
  unsubscribe: string[]
  positions: Record<string, number>
  /** since when events of its topic count, ms since the epoch */
  sinceMs: number
  readonly runs: Record<string, TriggeredRun>
  /** the latest events, oldest first */
  readonly seen: Record<string, true>
}

export interface TriggeredRun {
  readonly runId: string
  readonly eventId: string
  readonly parameters: Payload
  readonly spec: TriggerSpec
  readonly chain: number | undefined
}

const rememberedEvents = 1000
/** workflows that start each other when they end would otherwise never stop */
const longestChain = 50

/** Senders choose ids of events: as they are they could be numbers, which objects sort, or names that every object has. */
const seenKey = (eventId: string): string => `#${eventId}`

const triggeredRunId = (spec: TriggerSpec, triggerId: string, eventId: string): string =>
  workflowRunId(spec.workflow, `t-${hashJson([triggerId, eventId]).slice(0, 32)}`)

export const evolveTrigger = (
  before: TriggerState | undefined,
  { type, data }: TriggerEvent,
  { tenant, id, correlationId, time }: Identity & { readonly time: number },
): TriggerState => {
  if (type === 'TriggerPut') {
    if (!before)
      return {
        tenant,
        triggerId: id,
        correlationId,
        spec: data.spec,
        status: 'active',
        generation: 1,
        unsubscribe: [],
        positions: {},
        sinceMs: time,
        runs: {},
        seen: {},
      }
    const [was, is] = [before.spec.source, data.spec.source]
    if (was.type === 'workflow' && !(is.type === 'workflow' && is.workflow === was.workflow))
      before.unsubscribe = [...new Set([...before.unsubscribe, was.workflow])]
    if (is.type === 'workflow') before.unsubscribe = before.unsubscribe.filter((other) => other !== is.workflow)
    const sameTopic = was.type === 'topic' && is.type === 'topic' && was.topic === is.topic
    if (!sameTopic || before.status === 'deleted') {
      before.positions = {}
      before.sinceMs = time
    }
    if (before.status === 'deleted') before.status = 'active'
    before.spec = data.spec
    before.generation++
    return before
  }
  const state = before
  if (!state) throw new RangeError(`${type} of a trigger that was never put`)
  switch (type) {
    case 'TriggerPaused':
      state.status = 'paused'
      break
    case 'TriggerResumed':
      state.status = 'active'
      // what came meanwhile is ignored, whatever the source
      state.positions = {}
      state.sinceMs = time
      break
    case 'TriggerDeleted':
      state.status = 'deleted'
      if (state.spec.source.type === 'workflow') state.unsubscribe.push(state.spec.source.workflow)
      break
    case 'TriggerFired': {
      const { runId, eventId, parameters, chain } = data
      state.runs[runId] = { runId, eventId, parameters, spec: state.spec, chain }
      remember(state, eventId)
      advance(state, data.positions)
      break
    }
    case 'TriggerIgnored':
      remember(state, data.eventId)
      advance(state, data.positions)
      break
    case 'TriggerAdvanced':
      advance(state, data.positions)
      break
    case 'TriggeredRunRequested':
      delete state.runs[data.runId]
      break
    case 'TriggeredRunEnded':
      break
  }
  return state
}

const remember = (state: TriggerState, eventId: string): void => {
  state.seen[seenKey(eventId)] = true
  keepNewest(state.seen, rememberedEvents)
}

const advance = (state: TriggerState, positions: Readonly<Record<string, number>> | undefined): void => {
  for (const [partition, offset] of Object.entries(positions ?? {}))
    state.positions[partition] = Math.max(state.positions[partition] ?? 0, offset)
}

/** What the trigger makes of an event; given, so that this folder needs no expressions. */
export type Mapping = (
  spec: TriggerSpec,
  event: JsonValue,
) => { readonly parameters: JsonValue } | { readonly filtered: true } | { readonly failed: string }

export const decideTrigger = (
  state: TriggerState | undefined,
  command: TriggerCommand,
  triggerId: string,
  by: string,
  mapping: Mapping,
): Decision<TriggerEvent> => {
  const { type, data } = command
  if (type === 'PutTrigger') {
    const same = state && state.status !== 'deleted' && JSON.stringify(state.spec) === JSON.stringify(data.spec)
    return same ? decided() : decided({ type: 'TriggerPut', data: { ...data, by } })
  }
  if (type === 'ReportTriggeredRun') return state ? decided({ type: 'TriggeredRunEnded', data }) : decided()
  if (!state || state.status === 'deleted') return refused('trigger_unknown', `there is no trigger ${triggerId}`)
  switch (type) {
    case 'PauseTrigger':
      return state.status === 'paused' ? decided() : decided({ type: 'TriggerPaused', data: { ...data, by } })
    case 'ResumeTrigger':
      return state.status === 'active' ? decided() : decided({ type: 'TriggerResumed', data: { by } })
    case 'DeleteTrigger':
      return decided({ type: 'TriggerDeleted', data: { by } })
    case 'FireTrigger':
      return decided(...fireTrigger(state, data, mapping))
  }
}

export interface FiredBy {
  readonly eventId: string
  readonly event: JsonValue
  readonly positions?: Record<string, number> | undefined
  readonly chain?: number | undefined
}

/** An event came. The same event again is nothing. */
export const fireTrigger = (
  state: TriggerState,
  { eventId, event, positions, chain }: FiredBy,
  mapping: Mapping,
): TriggerEvent[] => {
  if (state.seen[seenKey(eventId)] || state.status === 'deleted') return []
  const at = positions && { positions }
  if (state.status === 'paused') return [{ type: 'TriggerIgnored', data: { eventId, reason: 'paused', ...at } }]
  if (chain !== undefined && chain > longestChain) {
    const detail = `${longestChain} ends of workflows have led here, each starting the next run: the chain ends`
    return [{ type: 'TriggerIgnored', data: { eventId, reason: 'failed', detail, ...at } }]
  }
  const mapped = mapping(state.spec, event)
  if ('filtered' in mapped) return [{ type: 'TriggerIgnored', data: { eventId, reason: 'filtered', ...at } }]
  if ('failed' in mapped)
    return [
      { type: 'TriggerIgnored', data: { eventId, reason: 'failed', detail: mapped.failed.slice(0, 2000), ...at } },
    ]
  const runId = triggeredRunId(state.spec, state.triggerId, eventId)
  const parameters = { inline: mapped.parameters }
  return [{ type: 'TriggerFired', data: { eventId, runId, parameters, ...at, ...(chain !== undefined && { chain }) } }]
}
