import type {
  ExecutionEvent,
  ExecutionOptions,
  ExecutionOutcome,
  ExecutionStatus,
  Failure,
  Payload,
  RunOverrides,
} from '@omium/schemas'
import { isTerminal } from '@omium/schemas'
import type { OpenChild, OpenEntry, SettledEntry } from './entries.ts'

/**
 * One execution: the fold of its events.
 *
 * 1. `settled` is in the order of settlement; that order is the order in which results reach user code, live and on replay.
 * 2. A path is in `settled` or in `open`, never in both.
 * 3. `worker` is set exactly while an attempt is live, which is while the status is `running`.
 * 4. `reservedMicroCredits` is the sum over the open intents, unknown ones included; `grantedMicroCredits` the sum over the
 *    children that have not reported, while the run has a budget (see budget.ts).
 * 5. `openChildren` counts the children that have not reported: the open ones and those that a roll back, or a value in their
 *    place, abandoned.
 * 6. `recovery` is set exactly while the status is `recovering`.
 * 7. The fold costs O(1) per event, except for events that end an attempt, which look at what is open, and roll
 *    backs, which look at everything.
 */
export interface ExecutionState {
  readonly tenant: string
  readonly executionId: string
  readonly correlationId: string
  readonly agentId: string
  readonly input: Payload
  readonly requestHash: string
  readonly options: ExecutionOptions
  readonly parent: { readonly executionId: string; readonly path: string } | null
  /** journal entries taken over from another run; they come before the run's own */
  readonly seed: Payload | null
  /** the last of those that still counts after a roll back; null: all of them */
  seedUpto: string | null
  /** what a simulated run is answered from */
  readonly recordings: Payload | null
  /** what attempts do otherwise than the code says */
  overrides: RunOverrides | null
  readonly requestedAt: number

  status: ExecutionStatus
  /** the last attempt that was handed to a worker, 0 before the first; fences every smaller one */
  attempt: number
  worker: string | null
  /** the worker of the last attempt, also when it has ended */
  lastWorker: string | null
  /** the next attempt had better go to another worker than this one */
  avoidedWorker: string | null
  /** attempts that the agent's code failed */
  failedAttempts: number
  /** attempts lost in a row without a single new result */
  lostAttempts: number
  /** no worker gets the run before this time, ms since the epoch */
  notBefore: number
  /** something settled from outside during this attempt, which the worker may not have seen when it suspends the run */
  resolvedInAttempt: boolean

  readonly settled: Map<string, SettledEntry>
  readonly open: Map<string, OpenEntry>
  /** paths of open waits by signal name, oldest first */
  readonly waits: Map<string, string[]>
  /** received signals that no wait took yet, by name, oldest first */
  readonly signals: Map<string, { signalId: string; payload: Payload }[]>
  readonly signalIds: Set<string>

  openChildren: number
  /** children behind a roll back, or with a value in their place, that have not reported, by child id; owed their end */
  readonly abandoned: Map<string, OpenChild>
  /** roll backs so far */
  generation: number
  /** failures so far that waited for a recovery */
  incidents: number
  recovery: AwaitedRecovery | null
  /** own and of children that have reported */
  spentMicroCredits: number
  reservedMicroCredits: number
  grantedMicroCredits: number
  permit: 'none' | 'awaiting' | 'held' | 'returned'
  delivered: boolean
  outcome: ExecutionOutcome | null
}

export interface AwaitedRecovery {
  readonly incident: number
  readonly error: Failure
  /** ms since the epoch */
  readonly giveUpAt: number
  readonly rerun: readonly string[] | null
}

export interface EventContext {
  readonly tenant: string
  readonly correlationId: string
  /** when the event was recorded, ms since the epoch */
  readonly time: number
}

export type DataOf<T extends ExecutionEvent['type']> = Extract<ExecutionEvent, { type: T }>['data']

export const requested = (data: DataOf<'ExecutionRequested'>, context: EventContext): ExecutionState => ({
  tenant: context.tenant,
  executionId: data.executionId,
  correlationId: context.correlationId,
  agentId: data.agentId,
  input: data.input,
  requestHash: data.requestHash,
  options: data.options,
  parent: data.parent ?? null,
  seed: data.forkedFrom?.seed ?? null,
  seedUpto: null,
  recordings: data.forkedFrom?.recordings ?? null,
  overrides: data.overrides ?? null,
  requestedAt: context.time,
  status: data.options.concurrency ? 'awaiting_permit' : 'queued',
  attempt: 0,
  worker: null,
  lastWorker: null,
  avoidedWorker: null,
  failedAttempts: 0,
  lostAttempts: 0,
  notBefore: 0,
  resolvedInAttempt: false,
  settled: new Map(),
  open: new Map(),
  waits: new Map(),
  signals: new Map(),
  signalIds: new Set(),
  openChildren: 0,
  abandoned: new Map(),
  generation: 0,
  incidents: 0,
  recovery: null,
  spentMicroCredits: 0,
  reservedMicroCredits: 0,
  grantedMicroCredits: 0,
  permit: data.options.concurrency ? 'awaiting' : 'none',
  delivered: false,
  outcome: null,
})

/** Children that have not reported back, without those that a roll back abandoned. */
export const openChildren = (state: ExecutionState): OpenChild[] =>
  state.openChildren === state.abandoned.size ? [] : [...state.open.values()].filter((entry) => entry.type === 'child')

/** When the run times out as a whole, ms since the epoch. */
export const deadlineOf = (state: ExecutionState): number | null =>
  state.options.timeoutMs === undefined ? null : state.requestedAt + state.options.timeoutMs

/** From when on a worker may be given the run, ms since the epoch; null while nothing is to be done. */
export const dispatchableFrom = (state: ExecutionState): number | null => {
  if (state.status === 'queued') return state.notBefore
  if (state.status !== 'suspended') return null
  let earliest: number | null = null
  for (const entry of state.open.values()) {
    if (entry.type === 'retrying' && (earliest === null || entry.retryAt < earliest)) earliest = entry.retryAt
  }
  return earliest
}

/** Whether nothing is left to do for the run once `events` are applied: its last event closes it. */
export const closesWith = (state: ExecutionState | undefined, events: readonly ExecutionEvent[]): boolean => {
  let terminal = state !== undefined && isTerminal(state.status)
  let children = state?.openChildren ?? 0
  let permitOwed = state !== undefined && (state.permit === 'held' || state.permit === 'awaiting')
  let deliveryOwed = state?.parent != null && !state.delivered
  for (const event of events) {
    if (event.type === 'ExecutionRequested') return false
    if (
      event.type === 'ExecutionCompleted' ||
      event.type === 'ExecutionFailed' ||
      event.type === 'ExecutionCancelled'
    ) {
      terminal = true
    } else if (event.type === 'ChildRequested') children++
    else if (event.type === 'ChildFinished') children--
    else if (event.type === 'OutcomeDelivered') deliveryOwed = false
    else if (event.type === 'PermitReturned') permitOwed = false
  }
  return terminal && children === 0 && !permitOwed && !deliveryOwed
}
