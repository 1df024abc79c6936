import type { Failure } from '@omium/schemas'
import {
  type ExecutionEvent,
  type ExecutionOptions,
  type ExecutionStatus,
  isTerminal,
  type Payload,
  type RecoveryAction,
  type Usage,
} from '@omium/schemas'

/**
 * One execution as lists and details show it: the fold of its events.
 *
 * 1. Pure: the same events give the same row, whatever the batches they came in.
 * 2. The status is the one that the engine's own fold gives (see its domain), derived from recorded events only.
 * 3. `pending.open` holds what can still wake the run, by path; running steps are not in it.
 */
export interface ExecutionRow {
  readonly tenant: string
  readonly id: string
  readonly agent: string
  readonly status: ExecutionStatus
  readonly attempt: number
  readonly pending: Pending
  /** those that still count; what a roll back has made void is taken out by the applier, which has their events */
  readonly stepsCompleted: number
  readonly costMicroCredits: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly options: ExecutionOptions
  /** set only by the event that brings it; the stored value is never read back to fold further */
  readonly input: Payload | null
  readonly output: Payload | null
  readonly error: Failure | null
  readonly parentId: string | null
  readonly forkedFrom: string | null
  /** the last step taken over from there; null: all of them, or no fork */
  readonly forkedToPath: string | null
  /** roll backs so far */
  readonly generation: number
  readonly createdAt: number
  readonly startedAt: number | null
  readonly finishedAt: number | null
  readonly version: number
  readonly partition: number
  readonly offset: number
}

export interface Pending {
  /** label by path, e.g. `signal:go` at `wait:go#1` */
  readonly open: Readonly<Record<string, string>>
  readonly permit: 'none' | 'awaiting' | 'held'
  /** something settled from outside during this attempt: suspending the run puts it back in the queue */
  readonly woken: boolean
  /** ids of children that a roll back left behind and that have not reported: their end settles nothing */
  readonly abandoned?: readonly string[]
  /** set while the status is `recovering` */
  readonly recovery?: { readonly incident: number; readonly error: Failure; readonly giveUpAt: number }
}

export interface EventPlace {
  readonly tenant: string
  readonly version: number
  readonly time: number
  readonly partition: number
  readonly offset: number
}

/** @throws RangeError for a history that no engine writes: events before the request, or a second request */
export const evolve = (row: ExecutionRow | undefined, event: ExecutionEvent, place: EventPlace): ExecutionRow => {
  if (event.type === 'ExecutionRequested') {
    if (row) throw new RangeError('the execution was requested before')
    return requested(event.data, place)
  }
  if (!row) throw new RangeError(`${event.type} came before ExecutionRequested`)
  const { version, partition, offset } = place
  return { ...row, ...change(row, event, place.time), version, partition, offset }
}

const requested = (
  data: Extract<ExecutionEvent, { type: 'ExecutionRequested' }>['data'],
  { tenant, time, version, partition, offset }: EventPlace,
): ExecutionRow => ({
  tenant,
  id: data.executionId,
  agent: data.agentId,
  status: data.options.concurrency ? 'awaiting_permit' : 'queued',
  attempt: 0,
  pending: { open: {}, permit: data.options.concurrency ? 'awaiting' : 'none', woken: false },
  stepsCompleted: 0,
  costMicroCredits: 0,
  inputTokens: 0,
  outputTokens: 0,
  options: data.options,
  input: data.input,
  output: null,
  error: null,
  parentId: data.parent?.executionId ?? null,
  forkedFrom: data.forkedFrom?.executionId ?? null,
  forkedToPath: data.forkedFrom?.uptoPath ?? null,
  generation: 0,
  createdAt: time,
  startedAt: null,
  finishedAt: null,
  version,
  partition,
  offset,
})

const change = (
  row: ExecutionRow,
  event: Exclude<ExecutionEvent, { type: 'ExecutionRequested' }>,
  time: number,
): Partial<ExecutionRow> => {
  switch (event.type) {
    case 'PermitGranted':
      return {
        pending: { ...row.pending, permit: 'held' },
        ...(row.status === 'awaiting_permit' && { status: 'queued' }),
      }
    case 'ExecutionStarted':
      return {
        status: 'running',
        attempt: event.data.attempt,
        startedAt: row.startedAt ?? time,
        pending: { ...row.pending, woken: false },
      }
    case 'StepStarted':
    case 'SignalReceived':
      return {}
    case 'StepCompleted':
      return {
        stepsCompleted: row.stepsCompleted + 1,
        ...spend(row, event.data.usage),
        ...settled(row, event.data.path),
      }
    case 'StepFailed': {
      const { path, usage, retryAt } = event.data
      return { ...spend(row, usage), ...(retryAt === null ? settled(row, path) : opened(row, path, `retry:${path}`)) }
    }
    case 'StepOutcomeUnknown':
      return opened(row, event.data.path, `outcome:${event.data.path}`)
    case 'StepOutcomeResolved': {
      const { path, resolution } = event.data
      if (resolution.status === 'retry') return wake({ ...row, ...opened(row, path, `retry:${path}`) })
      return {
        ...wake({ ...row, ...settled(row, path) }),
        ...(resolution.status === 'completed' && { stepsCompleted: row.stepsCompleted + 1 }),
      }
    }
    case 'TimerStarted':
      return opened(row, event.data.path, `timer:${new Date(event.data.fireAt).toISOString()}`)
    case 'WaitStarted':
      return opened(row, event.data.path, `signal:${event.data.name}`)
    case 'ApprovalRequested':
      return opened(row, event.data.path, `approval:${event.data.path}`)
    case 'ChildRequested':
      return opened(row, event.data.path, childLabel(event.data.childId))
    case 'ChildFinished':
      if (isAbandoned(row, event)) return { pending: withoutAbandoned(row.pending, event.data.childId) }
      if (isTerminal(row.status)) return {}
      return wake({ ...row, ...settled(row, event.data.path) })
    case 'TimerFired':
    case 'WaitResolved':
    case 'ApprovalDecided':
      if (isTerminal(row.status)) return {}
      return wake({ ...row, ...settled(row, event.data.path) })
    case 'ExecutionSuspended': {
      const asleep = event.data.reason === 'waiting' && !row.pending.woken && Object.keys(row.pending.open).length > 0
      return { status: asleep ? 'suspended' : 'queued' }
    }
    case 'AttemptLost':
    case 'AttemptFailed':
      return { status: 'queued' }
    case 'RecoveryAwaited': {
      const { incident, error, giveUpAt } = event.data
      return { status: 'recovering', pending: { ...row.pending, recovery: { incident, error, giveUpAt } } }
    }
    case 'ExecutionRecovered':
      return recovered(row, event.data.action)
    case 'ExecutionRolledBack':
      return {
        generation: event.data.generation,
        pending: { open: {}, permit: row.pending.permit, woken: false, ...abandonedBy(row.pending) },
        ...(row.status !== 'paused' && { status: readyStatus(row.pending) }),
      }
    case 'ExecutionPaused':
      return { status: 'paused' }
    case 'ExecutionResumed':
      return { status: readyStatus(row.pending) }
    case 'ExecutionCompleted':
      return { status: 'completed', output: event.data.output, ...finished(row, time) }
    case 'ExecutionFailed':
      return { status: 'failed', error: event.data.error, ...finished(row, time) }
    case 'ExecutionCancelled':
      return { status: 'cancelled', ...finished(row, time) }
    case 'OutcomeDelivered':
    case 'PermitReturned':
      return {}
  }
}

const childLabel = (childId: string): string => `child:${childId}`

const readyStatus = ({ permit }: Pending): 'awaiting_permit' | 'queued' =>
  permit === 'awaiting' ? 'awaiting_permit' : 'queued'

const recovered = (row: ExecutionRow, action: RecoveryAction): Partial<ExecutionRow> => {
  const { recovery, ...pending } = row.pending
  if (action.type === 'hold') {
    return recovery ? { pending: { ...pending, recovery: { ...recovery, giveUpAt: action.untilMs } } } : {}
  }
  const change = { status: readyStatus(pending), pending }
  if (action.type !== 'settle') return change
  // a child in whose place a value is put is left behind as by a roll back
  const label = pending.open[action.path]
  const left = label?.startsWith('child:') ? abandonedBy({ ...pending, open: { [action.path]: label } }) : {}
  return { ...change, ...settled({ ...row, pending: { ...pending, ...left } }, action.path) }
}

const spend = (row: ExecutionRow, usage: Usage | undefined): Partial<ExecutionRow> =>
  usage
    ? {
        costMicroCredits: row.costMicroCredits + (usage.costMicroCredits ?? 0),
        inputTokens: row.inputTokens + (usage.inputTokens ?? 0),
        outputTokens: row.outputTokens + (usage.outputTokens ?? 0),
      }
    : {}

const opened = (row: ExecutionRow, path: string, label: string): Partial<ExecutionRow> => ({
  pending: { ...row.pending, open: { ...row.pending.open, [path]: label } },
})

const settled = (row: ExecutionRow, path: string): Partial<ExecutionRow> => {
  if (!(path in row.pending.open)) return {}
  const { [path]: _, ...open } = row.pending.open
  return { pending: { ...row.pending, open } }
}

/** A result came from outside: a suspended run goes back to the queue, a running one must be looked at again. */
const wake = ({ status, pending, stepsCompleted }: ExecutionRow): Partial<ExecutionRow> => ({
  stepsCompleted,
  status: status === 'suspended' ? 'queued' : status,
  pending: status === 'running' ? { ...pending, woken: true } : pending,
})

const finished = ({ pending: { abandoned } }: ExecutionRow, time: number) => ({
  finishedAt: time,
  pending: { open: {}, permit: 'none', woken: false, ...(abandoned && { abandoned }) } as const,
})

/** Whether the event is the end of a child that a roll back left behind. */
export const isAbandoned = (row: ExecutionRow | undefined, event: ExecutionEvent): boolean =>
  event.type === 'ChildFinished' && row?.pending.abandoned?.includes(event.data.childId) === true

const abandonedBy = ({ open, abandoned = [] }: Pending): Pick<Pending, 'abandoned'> => {
  const left = Object.values(open).flatMap((label) => (label.startsWith('child:') ? [label.slice(6)] : []))
  const all = [...abandoned, ...left]
  return all.length > 0 ? { abandoned: all } : {}
}

const withoutAbandoned = ({ abandoned = [], ...pending }: Pending, childId: string): Pending => {
  const left = abandoned.filter((id) => id !== childId)
  return left.length > 0 ? { ...pending, abandoned: left } : pending
}

/** What keeps a run from running, for people: `worker`, `permit:<key>`, `timer:<when>`, `signal:<name>`, ... */
export const waitingFor = (status: ExecutionStatus, pending: Pending, options: Partial<ExecutionOptions>): string[] => {
  if (isTerminal(status)) return []
  const open = Object.values(pending.open)
  if (status === 'queued') return ['worker', ...open]
  if (status === 'awaiting_permit') return [`permit:${options.concurrency?.key ?? ''}`, ...open]
  if (status === 'paused') return ['resume', ...open]
  if (status === 'recovering') return [`recovery:${pending.recovery?.incident ?? 0}`, ...open]
  return open
}
