import {
  type ExecutionEvent,
  type Failure,
  type FailureFacts,
  type IncidentCommand,
  incidentIdOf,
  isTerminal,
  type RecordedKind,
} from '@omium/schemas'
import { type Effects, noEffects, noteEffects, sizeOf } from './effects.ts'
import { type CallWindow, findLoop, type LoopLimits, rememberCall } from './loops.ts'
import { compensatesLabel, isOwn } from './outbox.ts'
import { type ChildFailure, causalChain } from './root-cause.ts'

/**
 * A run as the recovery orchestrator follows it: the fold of its events, as far as a decision may need them, and what each
 * event means for the run's incident.
 *
 * 1. The fold is deterministic: whoever reads the same events reports the same things in the same words, so that reports
 *    can be repeated under the same ids.
 * 2. Only runs that ask for recovery are followed, and runs that undo effects for one; others cost nothing.
 * 3. Everything it remembers is bounded.
 * 4. An incident of the run is open from the failure until the run records something that it had not got to before.
 */
export interface RunView {
  readonly tenant: string
  readonly executionId: string
  readonly correlationId: string
  readonly agentId: string
  readonly parentId: string | null
  /** null for a run that undoes effects */
  readonly policy: string | null
  /** the incident for which it undoes effects */
  readonly compensates: string | null
  running: boolean
  terminal: boolean
  attempt: number
  lastEventAt: number
  lostAttempts: number
  costMicroCredits: number
  stepsCompleted: number
  /** settled entries in the order of settlement; `ok`: something to go back to */
  settled: { readonly path: string; readonly ok: boolean }[]
  /** every path that ever got a result: what is not among them is progress */
  readonly seen: Set<string>
  failedStep: {
    readonly path: string
    readonly name: string
    readonly kind: RecordedKind
    readonly error: Failure
  } | null
  readonly children: Map<string, { readonly childId: string; readonly agentId: string }>
  failedChild: ChildFailure | null
  /** steps that the attempt is working on; those that are done at once are never among them */
  readonly working: Set<string>
  /** what the platform, or somebody, is to give: timers, signals, approvals, children, the time of a retry */
  readonly waits: Set<string>
  readonly effects: Effects
  calls: CallWindow
  /** the latest count of awaited recoveries */
  awaited: number
  recoveries: number
  incident: OpenIncident | null
  /** the attempt that was to be interrupted */
  intervenedIn: number
}

interface OpenIncident {
  readonly id: string
  /** the failed step, which has to work for the incident to be over; null: anything new will do */
  failingPath: string | null
  /** nothing but the run's end is a sure sign */
  untilEnd: boolean
  /** the run was told what to do and goes on */
  applied: boolean
}

export interface Report {
  readonly incident: string
  readonly command: IncidentCommand
  /** with the run and the incident, what makes the command's id: the same event gives the same */
  readonly key: string
}

export interface RunEventContext {
  readonly tenant: string
  readonly correlationId: string
  readonly time: number
  /** version of the run after the event */
  readonly version: number
}

export interface Limits {
  /** null: loops are not looked for */
  readonly loops: LoopLimits | null
}

const maxSettled = 300
const maxSeen = 20_000
const maxGoodPaths = 20

type DataOf<T extends ExecutionEvent['type']> = Extract<ExecutionEvent, { type: T }>['data']

/** The view of a run from its first event; null when nobody needs it. */
export const followed = (data: DataOf<'ExecutionRequested'>, context: RunEventContext): RunView | null => {
  const policy = data.options.recovery?.policy ?? null
  const compensates = data.options.labels?.[compensatesLabel] ?? null
  if (policy === null && compensates === null) return null
  return {
    tenant: context.tenant,
    executionId: data.executionId,
    correlationId: context.correlationId,
    agentId: data.agentId,
    parentId: data.parent?.executionId ?? null,
    policy,
    compensates,
    running: false,
    terminal: false,
    attempt: 0,
    lastEventAt: context.time,
    lostAttempts: 0,
    costMicroCredits: 0,
    stepsCompleted: 0,
    settled: [],
    seen: new Set(),
    failedStep: null,
    children: new Map(),
    failedChild: null,
    working: new Set(),
    waits: new Set(),
    effects: noEffects(),
    calls: [],
    awaited: 0,
    recoveries: 0,
    incident: null,
    intervenedIn: 0,
  }
}

/** Applies an event; mutates the view, and says what is to be reported because of it. */
export const observe = (run: RunView, event: ExecutionEvent, context: RunEventContext, limits: Limits): Report[] => {
  run.lastEventAt = context.time
  noteEffects(run.effects, event)
  switch (event.type) {
    case 'ExecutionStarted':
      run.running = true
      run.attempt = event.data.attempt
      run.calls = []
      run.working.clear()
      return []
    case 'StepStarted':
      run.working.add(event.data.path)
      run.waits.delete(event.data.path)
      return []
    case 'TimerStarted':
    case 'WaitStarted':
    case 'ApprovalRequested':
      run.waits.add(event.data.path)
      return []
    case 'StepOutcomeUnknown':
      run.working.delete(event.data.path)
      run.waits.add(event.data.path)
      return []
    case 'StepCompleted': {
      const { path, name, kind, usage, input } = event.data
      run.costMicroCredits += usage?.costMicroCredits ?? 0
      run.stepsCompleted++
      run.lostAttempts = 0
      const isNew = settle(run, path, true)
      const recovered = progress(run, path, isNew, context)
      if (kind !== 'tool' || !limits.loops) return recovered
      run.calls = rememberCall(
        run.calls,
        { name, path, input, requestHash: event.data.requestHash, at: context.time },
        limits.loops,
      )
      return [...recovered, ...lookForLoop(run, limits.loops, context)]
    }
    case 'StepFailed': {
      const { path, name, kind, error, usage, retryAt } = event.data
      run.costMicroCredits += usage?.costMicroCredits ?? 0
      if (retryAt !== null) {
        run.lostAttempts = 0
        run.working.delete(path)
        run.waits.add(path)
        return []
      }
      settle(run, path, false)
      run.failedStep = { path, name, kind, error }
      return []
    }
    case 'StepOutcomeResolved': {
      const { path, resolution } = event.data
      if (resolution.status === 'retry') {
        run.waits.delete(path)
        return []
      }
      return progress(run, path, settle(run, path, resolution.status === 'completed'), context)
    }
    case 'TimerFired':
    case 'WaitResolved':
    case 'ApprovalDecided':
      return progress(run, event.data.path, settle(run, event.data.path, true), context)
    case 'ChildRequested': {
      const { path, childId, agentId } = event.data
      run.children.set(path, { childId, agentId })
      run.waits.add(path)
      return []
    }
    case 'ChildFinished': {
      const { path, childId, outcome, spentMicroCredits = 0 } = event.data
      run.costMicroCredits += spentMicroCredits
      const ok = outcome.status === 'completed'
      const child = run.children.get(path)
      // one that a roll back, or a value in its place, left behind: its end settles nothing
      if (child?.childId !== childId) return []
      const { agentId } = child
      run.children.delete(path)
      const isNew = settle(run, path, ok)
      if (outcome.status === 'failed') run.failedChild = { childId, agentId, path, error: outcome.error }
      return ok ? progress(run, path, isNew, context) : []
    }
    case 'ExecutionSuspended':
      run.running = false
      return []
    case 'AttemptLost':
      run.running = false
      if (event.data.reason !== 'engine_restarted') run.lostAttempts++
      return []
    case 'AttemptFailed':
      run.running = false
      forgetFailed(run, event.data.rerun)
      return []
    case 'ExecutionPaused':
      run.running = false
      return []
    case 'RecoveryAwaited':
      return failed(run, event.data, context)
    case 'ExecutionRecovered':
      return recovered(run, event.data, context)
    case 'ExecutionRolledBack': {
      const { toPath, by } = event.data
      run.running = false
      rollBack(run, toPath)
      // somebody has decided without being asked, and the run goes on
      if (!run.incident || run.incident.applied) return []
      return recovered(run, { incident: run.awaited, action: { type: 'roll_back', toPath, delayMs: 0 }, by }, context)
    }
    case 'ExecutionCompleted':
      return ended(run, 'completed', undefined, context)
    case 'ExecutionFailed':
      return ended(run, 'failed', event.data.error, context)
    case 'ExecutionCancelled':
      return ended(run, 'cancelled', undefined, context)
    default:
      return []
  }
}

/** The execution context refused a command of the run's incident. */
export const refusedCommand = (
  run: RunView,
  commandId: string,
  { code, detail }: Pick<Failure, 'code' | 'detail'>,
  time: number,
): Report[] => {
  const incident = run.incident?.id ?? incidentIdOf(run.executionId, run.awaited + 1)
  if (!isOwn(commandId)) return []
  return [
    {
      incident,
      key: `refused ${commandId}`,
      command: { type: 'ReportRefused', data: { commandId, code, detail: detail.slice(0, 8192), at: time } },
    },
  ]
}

/**
 * An attempt that has recorded nothing for too long although it is its turn. A run that only waits for what the platform or
 * somebody else is to give stands still by right, also while it is still with its worker.
 */
export const lookForStall = (run: RunView, afterMs: number, nowMs: number): Report[] => {
  const quietMs = nowMs - run.lastEventAt
  const itsTurn = run.working.size > 0 || run.waits.size === 0
  if (!run.running || run.policy === null || !itsTurn || quietMs < afterMs) return []
  return intervene(run, 'stall', {
    code: 'execution_stalled',
    detail: `attempt ${run.attempt} has recorded nothing for ${quietMs} ms; the limit is ${afterMs} ms`,
    retryable: false,
  })
}

const lookForLoop = (run: RunView, limits: LoopLimits, { time }: RunEventContext): Report[] => {
  const loop = findLoop(run.calls, limits, time)
  if (!loop) return []
  const { name, paths } = loop
  return intervene(run, 'loop', {
    code: 'execution_looping',
    detail: `${run.agentId} has called ${name} ${paths.length} times with the same arguments within its last ${limits.window} calls`,
    retryable: false,
    data: { name, paths: paths.slice(0, 50) },
  })
}

const intervene = (run: RunView, kind: 'loop' | 'stall', error: Failure): Report[] => {
  // once for each attempt: a command that has ended it is on its way
  if (run.policy === null || run.intervenedIn === run.attempt) return []
  run.intervenedIn = run.attempt
  const awaiting = run.awaited + 1
  const incident = run.incident?.id ?? incidentIdOf(run.executionId, awaiting)
  const { executionId, agentId, attempt } = run
  return [
    {
      incident,
      key: `${kind} in ${attempt}`,
      command: { type: 'ProposeIntervention', data: { executionId, agentId, awaiting, kind, attempt, error } },
    },
  ]
}

/** @returns whether the run had never got there before */
const settle = (run: RunView, path: string, ok: boolean): boolean => {
  run.working.delete(path)
  run.waits.delete(path)
  run.settled.push({ path, ok })
  if (run.settled.length > maxSettled) run.settled.splice(0, run.settled.length - maxSettled)
  const isNew = !run.seen.has(path)
  if (run.seen.size < maxSeen) run.seen.add(path)
  return isNew
}

const forgetFailed = (run: RunView, rerun: readonly string[] | undefined): void => {
  run.settled = run.settled.filter(({ path, ok }) => ok || (rerun !== undefined && !rerun.includes(path)))
}

const rollBack = (run: RunView, toPath: string | null): void => {
  const at = toPath === null ? -1 : run.settled.findIndex(({ path }) => path === toPath)
  run.settled = run.settled.slice(0, at + 1)
  run.children.clear()
  run.working.clear()
  run.waits.clear()
  run.failedStep = null
  run.failedChild = null
}

const progress = (run: RunView, path: string, isNew: boolean, { time }: RunEventContext): Report[] => {
  const { incident } = run
  if (!incident?.applied || incident.untilEnd) return []
  if (incident.failingPath === null ? !isNew : incident.failingPath !== path) return []
  run.incident = null
  return [overcome(run, incident.id, 'progress', time, path)]
}

const overcome = (run: RunView, id: string, how: 'progress' | 'completed', at: number, path?: string): Report => ({
  incident: id,
  key: 'recovered',
  command: {
    type: 'ReportRecovered',
    data: { how, ...(path !== undefined && { path }), at, costMicroCredits: run.costMicroCredits },
  },
})

const childIdOf = ({ data }: Failure): string | null =>
  data !== null && typeof data === 'object' && !Array.isArray(data) && typeof data['childId'] === 'string'
    ? data['childId']
    : null

/** Whose failure it was: the child that the error names, or the step that failed with it. */
const failingStep = (run: RunView, error: Failure, rerun: readonly string[] | undefined): FailureFacts['step'] => {
  const child = run.failedChild
  if (error.code === 'child_failed' && child && childIdOf(error) === child.childId) {
    return { path: child.path, name: child.agentId ?? child.childId, kind: 'child' }
  }
  const step = run.failedStep
  if (!step) return undefined
  const same = step.error.code === error.code && step.error.detail === error.detail
  if (!same && !rerun?.includes(step.path)) return undefined
  return { path: step.path, name: step.name, kind: step.kind }
}

/** Where the run can go back to, newest first: results before the failed step, or before the calls that go in circles. */
const goodPaths = (run: RunView, before: readonly string[]): string[] => {
  const end = before.map((path) => run.settled.findIndex((entry) => entry.path === path)).filter((index) => index >= 0)
  const settled = run.settled.slice(0, end.length > 0 ? Math.min(...end) : undefined)
  return settled
    .filter(({ ok }) => ok)
    .map(({ path }) => path)
    .slice(-maxGoodPaths)
    .reverse()
}

const loopPaths = ({ code, data }: Failure): string[] => {
  if (code !== 'execution_looping' || data === null || typeof data !== 'object' || Array.isArray(data)) return []
  const { paths } = data
  return Array.isArray(paths) ? paths.filter((path): path is string => typeof path === 'string') : []
}

const failed = (run: RunView, data: DataOf<'RecoveryAwaited'>, { time, version }: RunEventContext): Report[] => {
  run.running = false
  run.awaited = data.incident
  if (run.policy === null) return []
  const { error, giveUpAt, attempt, rerun } = data
  const step = failingStep(run, error, rerun)
  const loop = loopPaths(error)
  const id = run.incident?.id ?? incidentIdOf(run.executionId, data.incident)
  run.incident = { id, failingPath: step?.path ?? null, untilEnd: loop.length > 0, applied: false }
  const child = step?.kind === 'child' ? (run.failedChild ?? undefined) : undefined
  const facts: FailureFacts = {
    executionId: run.executionId,
    agentId: run.agentId,
    ...(run.parentId !== null && { parentId: run.parentId }),
    policy: run.policy,
    awaiting: data.incident,
    version,
    ...(attempt !== undefined && { attempt }),
    at: time,
    giveUpAt,
    error,
    ...(step && { step }),
    chain: causalChain({ executionId: run.executionId, agentId: run.agentId, path: step?.path, error, child }),
    lostAttempts: run.lostAttempts,
    stepsCompleted: run.stepsCompleted,
    goodPaths: goodPaths(run, step ? [step.path] : loop),
    costMicroCredits: run.costMicroCredits,
    recoveries: run.recoveries,
    effects: run.effects.made.map(({ effect }) => effect),
    effectsMade: run.effects.total - sizeOf(run.effects.undone),
    ...(run.effects.undone.length > 0 && { effectsUndone: [...run.effects.undone] }),
  }
  return [{ incident: id, key: `failure ${data.incident}`, command: { type: 'ReportFailure', data: { facts } } }]
}

const recovered = (run: RunView, data: DataOf<'ExecutionRecovered'>, { time, version }: RunEventContext): Report[] => {
  const { incident } = run
  if (!incident || incident.applied) return []
  const { action, by } = data
  if (action.type !== 'hold') {
    run.recoveries++
    incident.applied = true
    run.lostAttempts = 0
    // the code goes on after the step: what comes next is progress
    if (action.type === 'settle') {
      incident.failingPath = null
      run.children.delete(action.path)
      settle(run, action.path, true)
    }
    if (action.type === 'retry') forgetFailed(run, action.rerun)
    if (action.type === 'roll_back' && incident.failingPath === null) incident.untilEnd = true
  }
  return [
    {
      incident: incident.id,
      key: `applied ${version}`,
      command: { type: 'ReportApplied', data: { awaiting: data.incident, action, by, at: time } },
    },
  ]
}

const whyEnded = ({ compensates, attempt, agentId }: RunView, { code, detail }: Failure): string =>
  compensates !== null && attempt === 0
    ? `no worker took it up, is there one that runs agent ${agentId}? ${code}: ${detail}`
    : `${code}: ${detail}`

const ended = (
  run: RunView,
  status: 'completed' | 'failed' | 'cancelled',
  error: Failure | undefined,
  { time }: RunEventContext,
): Report[] => {
  run.running = false
  run.terminal = isTerminal(status)
  const detail = error && whyEnded(run, error).slice(0, 2000)
  const end = { status, at: time, ...(detail !== undefined && { detail }) }
  const reports: Report[] = []
  if (run.compensates !== null) {
    const { executionId } = run
    const command: IncidentCommand = { type: 'ReportCompensation', data: { executionId, ...end } }
    reports.push({ incident: run.compensates, key: `compensation ${executionId}`, command })
  }
  const open = run.incident?.id ?? (run.intervenedIn > 0 ? incidentIdOf(run.executionId, run.awaited + 1) : null)
  if (open === null) return reports
  if (status === 'completed' && run.incident) reports.push(overcome(run, open, 'completed', time))
  else reports.push({ incident: open, key: 'ended', command: { type: 'ReportRunEnded', data: end } })
  run.incident = null
  return reports
}
