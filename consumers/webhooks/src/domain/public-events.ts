import {
  type ExecutionEvent,
  type IncidentEvent,
  type JsonValue,
  parseAggregateKey,
  type WebhookEventType,
  type WebhookMessage,
  type WebhookSpec,
} from '@omium/schemas'

/**
 * What the outside is told of what was recorded: a closed list of events with payloads of their own. They name runs and say what
 * became of them; inputs, outputs and states stay behind the API.
 */
export interface PublicEvent {
  /** of the recorded event that it is derived from */
  readonly eventId: string
  readonly type: WebhookEventType
  readonly tenant: string
  readonly time: number
  readonly about: About
  readonly data: Readonly<Record<string, JsonValue>>
}

/** What is known about a run from how it began. */
export interface About {
  readonly agent?: string
  readonly workflow?: string
  readonly parent?: string
  /** it is over its budget, and that was told */
  readonly overBudget?: boolean
}

/** Runs and incidents that are not over, by aggregate. */
export type Subjects = Map<string, About>

/** Recorded event types that anything is derived from. */
export const watchedTypes: ReadonlySet<string> = new Set<ExecutionEvent['type'] | IncidentEvent['type']>([
  'ExecutionRequested',
  'ExecutionCompleted',
  'ExecutionFailed',
  'ExecutionCancelled',
  'ApprovalRequested',
  'RecoveryAwaited',
  'InterventionDecided',
  'IncidentOpened',
  'EscalatedToPerson',
  'GivenUp',
  'RecoverySucceeded',
  'IncidentDismissed',
])

export interface Recorded {
  readonly id: string
  readonly aggregate: string
  readonly tenant: string
  readonly time: number
  readonly event: ExecutionEvent | IncidentEvent
}

/** A payload has this version for as long as it only grows. */
const payloadVersion = 1
const longestText = 2000

/** Takes a recorded event in. @returns what the outside is told */
export const derive = (
  subjects: Subjects,
  { id, aggregate, tenant, time, event }: Recorded,
): readonly PublicEvent[] => {
  const about = subjects.get(aggregate) ?? {}
  const key = parseAggregateKey(aggregate)?.id ?? ''
  const of = (type: WebhookEventType, data: PublicEvent['data']): PublicEvent => ({
    eventId: id,
    type,
    tenant,
    time,
    about,
    data,
  })
  const run = { executionId: key, ...(about.parent !== undefined && { parentId: about.parent }) }
  const incident = { executionId: key.slice(0, key.lastIndexOf('.')), incidentId: key }

  switch (event.type) {
    case 'ExecutionRequested': {
      const { agentId, options, parent } = event.data
      const workflow = options.labels?.['workflow']
      subjects.set(aggregate, {
        agent: agentId,
        ...(workflow !== undefined && { workflow }),
        ...(parent && { parent: parent.executionId }),
      })
      return []
    }
    case 'ExecutionCompleted':
      subjects.delete(aggregate)
      return [of('execution.completed', run)]
    case 'ExecutionCancelled': {
      subjects.delete(aggregate)
      const { by, reason } = event.data
      return [of('execution.cancelled', { ...run, by, ...(reason !== undefined && { reason }) })]
    }
    case 'ExecutionFailed': {
      subjects.delete(aggregate)
      const failed = { ...run, error: told(event.data.error) }
      const over = isOverBudget(event.data.error) && !about.overBudget ? [of('budget.exceeded', failed)] : []
      return [...over, of('execution.failed', failed)]
    }
    case 'RecoveryAwaited':
      if (!isOverBudget(event.data.error) || about.overBudget) return []
      subjects.set(aggregate, { ...about, overBudget: true })
      return [of('budget.exceeded', { ...run, error: told(event.data.error) })]
    case 'ApprovalRequested': {
      const { path, title, timeoutAt } = event.data
      const until = timeoutAt === undefined ? {} : { until: iso(timeoutAt) }
      return [of('execution.waiting', { ...run, approval: { path, title, ...until } })]
    }
    case 'InterventionDecided':
      subjects.set(aggregate, { agent: event.data.agentId })
      return []
    case 'IncidentOpened':
      subjects.set(aggregate, { agent: event.data.facts.agentId })
      return []
    case 'EscalatedToPerson': {
      const { question, untilMs } = event.data
      return [of('recovery.person_asked', { ...incident, question: cut(question), until: iso(untilMs) })]
    }
    case 'GivenUp':
      subjects.delete(aggregate)
      return [of('recovery.gave_up', { ...incident, why: cut(event.data.why), by: event.data.by })]
    case 'RecoverySucceeded':
    case 'IncidentDismissed':
      subjects.delete(aggregate)
      return []
    default:
      return []
  }
}

const cut = (text: string): string => text.slice(0, longestText)
/** later years are written with a sign, which few readers expect */
const iso = (ms: number): string => new Date(Math.min(ms, Date.UTC(9999, 11, 31))).toISOString()
const isOverBudget = ({ code }: { readonly code: string }): boolean => code === 'budget_exceeded'
const told = ({ code, detail }: { readonly code: string; readonly detail: string }) => ({ code, detail: cut(detail) })

/** Whether an endpoint wants to be told. Filters by workflow pass nothing that is not known to be of a workflow. */
export const isWanted = ({ types, filter }: WebhookSpec, { type, about }: PublicEvent): boolean => {
  if (!types.includes(type)) return false
  if (!filter?.workflows && !filter?.agents) return true
  const { workflow, agent } = about
  return (
    (workflow !== undefined && (filter.workflows?.includes(workflow) ?? false)) ||
    (agent !== undefined && (filter.agents?.includes(agent) ?? false))
  )
}

/** The message of a public event. @param id of the message, see `messageIdOf` */
export const messageOf = (id: string, { type, tenant, time, about, data }: PublicEvent): WebhookMessage => {
  const { agent, workflow } = about
  const whose = { ...(agent !== undefined && { agent }), ...(workflow !== undefined && { workflow }) }
  const body = { type, timestamp: iso(time), version: payloadVersion, tenant, data: { ...whose, ...data } }
  return { id, type, body: JSON.stringify(body), occurredAt: time }
}
