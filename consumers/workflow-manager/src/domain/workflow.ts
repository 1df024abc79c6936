import type {
  Payload,
  RunEnd,
  RunSource,
  WorkflowCommand,
  WorkflowEvent,
  WorkflowRunOptions,
  WorkflowVersionStatus,
} from '@omium/schemas'
import { type Decision, decided, keepNewest, refused } from './decision.ts'

/**
 * A workflow as the fold of its events.
 *
 * 1. A version never changes; it is a draft, then published, then deprecated, and never goes back. Deleting the workflow
 *    deprecates them all: created again, it runs nothing that was published before.
 * 2. A run is requested at most once for each id. It stays until its end was reported to whoever waits for it.
 * 3. A run that was requested is started, also by the next owner, and keeps the version that it was requested with.
 */
export interface WorkflowState {
  readonly tenant: string
  readonly workflowId: string
  readonly correlationId: string
  deleted: boolean
  /** version n is at index n - 1 */
  readonly versions: VersionState[]
  readonly runs: Record<string, RunState>
  /** hashes of the latest requests whose runs are over, oldest first */
  readonly over: Record<string, string>
  /** triggers that want to know when a run ends */
  readonly subscribers: Record<string, true>
}

export interface VersionState {
  readonly version: number
  status: WorkflowVersionStatus
  readonly bundle: Payload
  readonly bundleHash: string
}

export interface RunState {
  readonly runId: string
  readonly version: number
  readonly parameters: Payload
  readonly requestHash: string
  readonly source: RunSource
  readonly options: WorkflowRunOptions | null
  /** the request's chain of cause and effect */
  readonly correlationId: string
  started: boolean
  superseded: boolean
  ended: { readonly end: RunEnd; readonly output: Payload | null } | null
}

const rememberedRuns = 5000

export interface Identity {
  readonly tenant: string
  readonly id: string
  readonly correlationId: string
}

export const evolveWorkflow = (
  before: WorkflowState | undefined,
  { type, data }: WorkflowEvent,
  { tenant, id, correlationId }: Identity,
): WorkflowState => {
  const state: WorkflowState = before ?? {
    tenant,
    workflowId: id,
    correlationId,
    deleted: false,
    versions: [],
    runs: {},
    over: {},
    subscribers: {},
  }
  switch (type) {
    case 'WorkflowVersionCreated':
      state.deleted = false
      state.versions.push({ version: data.version, status: 'draft', bundle: data.bundle, bundleHash: data.bundleHash })
      break
    case 'WorkflowVersionPublished':
    case 'WorkflowVersionDeprecated': {
      const version = state.versions[data.version - 1]
      if (version) version.status = type === 'WorkflowVersionPublished' ? 'published' : 'deprecated'
      break
    }
    case 'WorkflowDeleted':
      state.deleted = true
      for (const version of state.versions) version.status = 'deprecated'
      break
    case 'WorkflowRunRequested':
      state.runs[data.runId] = {
        runId: data.runId,
        version: data.version,
        parameters: data.parameters,
        requestHash: data.requestHash,
        source: data.source,
        options: data.options ?? null,
        correlationId,
        started: false,
        superseded: false,
        ended: null,
      }
      break
    case 'WorkflowRunStarted': {
      const run = state.runs[data.runId]
      if (run) run.started = true
      break
    }
    case 'WorkflowRunSuperseded': {
      const run = state.runs[data.runId]
      if (run) run.superseded = true
      break
    }
    case 'WorkflowRunEnded': {
      const run = state.runs[data.runId]
      if (!run) break
      run.ended = { end: data.end, output: data.output ?? null }
      if (!hasListeners(state, run)) close(state, run)
      break
    }
    case 'WorkflowRunReported': {
      const run = state.runs[data.runId]
      if (run) close(state, run)
      break
    }
    case 'WorkflowSubscribed':
      state.subscribers[data.triggerId] = true
      break
    case 'WorkflowUnsubscribed':
      delete state.subscribers[data.triggerId]
      break
  }
  return state
}

const close = (state: WorkflowState, run: RunState): void => {
  delete state.runs[run.runId]
  state.over[run.runId] = run.requestHash
  keepNewest(state.over, rememberedRuns)
}

/** Whether anybody waits for the end of the run. */
export const hasListeners = (state: WorkflowState, run: RunState): boolean =>
  run.source.type !== 'request' || Object.keys(state.subscribers).length > 0

/** The version that runs unless another is named. */
export const newestPublished = (state: WorkflowState): VersionState | undefined =>
  state.versions.findLast(({ status }) => status === 'published')

export const decideWorkflow = (
  state: WorkflowState | undefined,
  command: WorkflowCommand,
  workflowId: string,
  by: string,
): Decision<WorkflowEvent> => {
  const { type, data } = command
  if (type === 'CreateWorkflowVersion') return create(state, data, by)
  const absent = refused('workflow_unknown', `there is no workflow ${workflowId}`)
  if (!state) {
    // a workflow that does not exist yet may be waited for
    if (type === 'SubscribeToWorkflow') return decided({ type: 'WorkflowSubscribed', data })
    return type === 'UnsubscribeFromWorkflow' || type === 'EndWorkflowRun' || type === 'SupersedeWorkflowRun'
      ? decided()
      : absent
  }
  const gone = state.deleted || state.versions.length === 0
  switch (type) {
    case 'PublishWorkflowVersion':
    case 'DeprecateWorkflowVersion': {
      const version = state.versions[data.version - 1]
      if (gone || !version) return gone ? absent : noVersion(workflowId, data.version)
      if (type === 'DeprecateWorkflowVersion')
        return version.status === 'deprecated'
          ? decided()
          : decided({ type: 'WorkflowVersionDeprecated', data: { ...data, by } })
      if (version.status === 'deprecated')
        return refused('workflow_conflict', `version ${data.version} of ${workflowId} is deprecated; create a new one`)
      return version.status === 'published'
        ? decided()
        : decided({ type: 'WorkflowVersionPublished', data: { version: data.version, by } })
    }
    case 'DeleteWorkflow':
      return gone ? absent : decided({ type: 'WorkflowDeleted', data: { ...data, by } })
    case 'RunWorkflow':
      return gone ? absent : run(state, data)
    case 'EndWorkflowRun': {
      const known = state.runs[data.runId]
      return known && !known.ended ? decided({ type: 'WorkflowRunEnded', data }) : decided()
    }
    case 'SupersedeWorkflowRun': {
      const known = state.runs[data.runId]
      return known && !known.ended && !known.superseded ? decided({ type: 'WorkflowRunSuperseded', data }) : decided()
    }
    case 'SubscribeToWorkflow':
      return Object.hasOwn(state.subscribers, data.triggerId)
        ? decided()
        : decided({ type: 'WorkflowSubscribed', data })
    case 'UnsubscribeFromWorkflow':
      return Object.hasOwn(state.subscribers, data.triggerId)
        ? decided({ type: 'WorkflowUnsubscribed', data })
        : decided()
  }
}

const noVersion = (workflowId: string, version: number) =>
  refused('workflow_unknown', `workflow ${workflowId} has no version ${version}`)

type Data<T extends WorkflowCommand['type']> = Extract<WorkflowCommand, { type: T }>['data']

const create = (
  state: WorkflowState | undefined,
  { publish, ...data }: Data<'CreateWorkflowVersion'>,
  by: string,
): Decision<WorkflowEvent> => {
  const newest = state?.versions.at(-1)
  const same = newest && !state?.deleted && newest.bundleHash === data.bundleHash && newest.status !== 'deprecated'
  const version = same ? newest.version : (newest?.version ?? 0) + 1
  const events: WorkflowEvent[] = []
  if (!same) events.push({ type: 'WorkflowVersionCreated', data: { ...data, version, by } })
  if (publish && !(same && newest.status === 'published'))
    events.push({ type: 'WorkflowVersionPublished', data: { version, by } })
  return decided(...events)
}

const run = (state: WorkflowState, data: Data<'RunWorkflow'>): Decision<WorkflowEvent> => {
  const { workflowId } = state
  const { runId, requestHash } = data
  const earlier = state.runs[runId]?.requestHash ?? state.over[runId]
  if (earlier !== undefined) {
    if (earlier === requestHash) return decided()
    return refused(
      'workflow_conflict',
      `run ${runId} exists with other parameters or another version; choose another id`,
    )
  }
  const version = data.version === undefined ? newestPublished(state) : state.versions[data.version - 1]
  if (!version)
    return data.version === undefined
      ? refused('workflow_unpublished', `no version of workflow ${workflowId} is published`)
      : noVersion(workflowId, data.version)
  if (version.status === 'deprecated')
    return refused('workflow_unpublished', `version ${version.version} of workflow ${workflowId} is deprecated`)
  return decided({ type: 'WorkflowRunRequested', data: { ...data, version: version.version } })
}
