import { randomBytes } from 'node:crypto'
import {
  type CallerView,
  createIdSource,
  type EventView,
  type ExecutionStatus,
  type ExecutionView,
  type FailureView,
  isTerminal,
  type JsonValue,
  OmiumError,
  page,
  type StepView,
  type WriteReceipt,
} from '@omium/schemas'
import type { z } from 'zod'
import type { Agent, RunOptions } from '../context.ts'
import { toPlainJson } from '../replay/plain-json.ts'
import { type Checkpoints, checkpointsOf } from './checkpoints.ts'
import { type Delta, type EventsOptions, liveEvents } from './events.ts'
import { type FollowedEvent, type FollowOptions, followEvents } from './follow.ts'
import { type AnswerOf, type ConnectionOptions, Http, type HttpRequest } from './http.ts'
import { type Keys, keysOf } from './keys.ts'
import { type Invitations, invitationsOf, type Members, membersOf } from './members.ts'
import { type ModelView, readModels } from './models.ts'
import { pages } from './pages.ts'
import { type Recoveries, type RecoveryPolicies, recoveriesOf, recoveryPoliciesOf } from './recoveries.ts'
import { forkBodyOf, type Replays, type Rewinding, replaysOf, rewindReads } from './rewind.ts'
import { type Webhooks, webhooksOf } from './webhooks.ts'
import { type Schedules, schedulesOf, type Triggers, triggersOf, type Workflows, workflowsOf } from './workflows.ts'

const newId = createIdSource(Date.now, randomBytes)
const longPollMs = 20_000

export interface StartOptions {
  /** starting twice with one id and input gives the same execution; minted unless given */
  id?: string
  options?: RunOptions
}

export interface ListFilter {
  status?: ExecutionStatus
  agent?: string
  parent?: string
  forkedFrom?: string
  /** all of them have to fit */
  labels?: Readonly<Record<string, string>>
  /** size of the pages that are fetched, 1 to 200 */
  pageSize?: number
}

/** An agent that workers have announced. */
export type AgentView = AnswerOf<'GET /v1/agents'>['items'][number]

/** The resolution of a step whose outcome is unknown. */
export type Resolution =
  | { status: 'completed'; output: unknown }
  | { status: 'failed'; detail: string }
  | { status: 'retry' }

/** A started execution. */
export interface RunHandle<Output> extends Rewinding<RunHandle<Output>> {
  readonly id: string
  /** where on the log its last change made through this handle was accepted */
  readonly position: string | undefined
  /** false when it had been started before with this id and input */
  readonly created: boolean
  /** Waits for the end. @throws OmiumError the run's failure, `execution_cancelled`, or `timeout` after `timeoutMs` */
  result(options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<Output>
  /** Waits for the end, however it ends, and gives the execution as it is then. @throws OmiumError `timeout` */
  ended(options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<ExecutionView>
  /** History, then live, until the end; survives reconnects. */
  events(options: EventsOptions & { deltas: true }): AsyncIterable<EventView | Delta>
  events(options?: EventsOptions & { deltas?: false }): AsyncIterable<EventView>
  get(): Promise<ExecutionView>
  steps(): Promise<StepView[]>
  signal(name: string, payload?: unknown, options?: { id?: string }): Promise<WriteReceipt>
  /** Decides the approval at a path, e.g. `approve#1`. */
  approve(path: string, decision?: 'approved' | 'rejected', comment?: string): Promise<WriteReceipt>
  pause(reason?: string): Promise<WriteReceipt>
  resume(): Promise<WriteReceipt>
  cancel(reason?: string): Promise<WriteReceipt>
  /** Settles a step whose outcome is unknown. */
  resolve(path: string, resolution: Resolution, comment?: string): Promise<WriteReceipt>
}

export interface Client {
  start<Input, Output>(agent: Agent<Input, Output>, input: Input, options?: StartOptions): Promise<RunHandle<Output>>
  start(agentId: string, input: unknown, options?: StartOptions): Promise<RunHandle<JsonValue>>
  /** The handle of an execution that exists; asks nothing. */
  handle<Output = JsonValue>(id: string): RunHandle<Output>
  get(id: string): Promise<ExecutionView>
  /** All executions that fit, newest first, fetched page by page. */
  list(filter?: ListFilter): AsyncIterable<ExecutionView>
  agents(): Promise<AgentView[]>
  /** Failures of steps, attempts and executions, newest first, fetched page by page. */
  failures(filter?: { execution?: string; pageSize?: number }): AsyncIterable<FailureView>
  /** Which models there are, who answers for them and what they cost. Needs the model gateway's URL. */
  models(): Promise<ModelView[]>
  /** Who asks, and what they may do. */
  me(): Promise<CallerView>
  /** Events of all executions as they happen; survives reconnects. */
  follow(options?: FollowOptions): AsyncGenerator<FollowedEvent>
  /** failures, what was decided about them, and a person's answers */
  readonly recoveries: Recoveries
  readonly recoveryPolicies: RecoveryPolicies
  readonly checkpoints: Checkpoints
  readonly replays: Replays
  readonly workflows: Workflows
  readonly schedules: Schedules
  readonly triggers: Triggers
  readonly webhooks: Webhooks
  readonly keys: Keys
  readonly members: Members
  readonly invitations: Invitations
  /**
   * An operation of the API that has no call here: JSON in, JSON out, null for no content. Sent again when it has to be,
   * under one idempotency key. @throws OmiumError with the gateway's code
   */
  request(method: string, path: string, request?: { body?: unknown; query?: Query }): Promise<JsonValue>
  /** The items of a paged list that has no call here, fetched as they are read. */
  pages<T>(path: string, item: z.ZodType<T>, query?: Query): AsyncIterable<T>
}
type Query = NonNullable<HttpRequest['query']>

/** A client of the platform. Unset options come from `OMIUM_URL` and `OMIUM_API_KEY`. */
export const omium = (options: ConnectionOptions = {}): Client => {
  const http = new Http(options)

  const handleOf = <Output>(id: string, receipt?: WriteReceipt): RunHandle<Output> => {
    const path = { id }
    let position = receipt?.position
    const accepted = async (answer: Promise<WriteReceipt>): Promise<WriteReceipt> => {
      const given = await answer
      position = given.position
      return given
    }
    const ended: RunHandle<Output>['ended'] = async ({ timeoutMs, signal } = {}) => {
      const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs
      for (;;) {
        const left = deadline - performance.now()
        if (left <= 0) throw new OmiumError('timeout', `execution ${id} has not ended within ${timeoutMs} ms`)
        const waitMs = Math.ceil(Math.min(longPollMs, left))
        const view = await http.call('GET /v1/executions/{id}/result', {
          path,
          // what this handle has started or changed is in the answer, however far the read model lags
          query: { wait_ms: waitMs, min_position: position },
          timeoutMs: waitMs + 10_000,
          ...(signal && { signal }),
        })
        if (view !== null && isTerminal(view.status)) return view
      }
    }
    const get = (): Promise<ExecutionView> =>
      http.call('GET /v1/executions/{id}', { path, query: { min_position: position } })
    return {
      id,
      get position() {
        return position
      },
      created: receipt ? !receipt.deduplicated : false,
      ended,
      result: async (resultOptions) => outputOf(await ended(resultOptions)) as Output,
      events: async function* (eventsOptions?: EventsOptions) {
        // a stream of a run that the read model does not have yet would be refused
        if (position !== undefined) await get()
        yield* liveEvents(http, id, eventsOptions)
      } as RunHandle<Output>['events'],
      get,
      steps: () =>
        collect(pages(http, 'GET /v1/executions/{id}/steps', { path, query: { min_position: position, limit: 200 } })),
      signal: (name, payload, { id: signalId = newId('signal') } = {}) => {
        const body = { name, payload: toPlainJson(payload, 'the payload'), id: signalId }
        return accepted(http.call('POST /v1/executions/{id}/signals', { path, body }))
      },
      approve: (stepPath, decision = 'approved', comment) => {
        const body = { path: stepPath, decision, comment }
        return accepted(http.call('POST /v1/executions/{id}/approvals', { path, body }))
      },
      pause: (reason) => accepted(http.call('POST /v1/executions/{id}/pause', { path, body: { reason } })),
      resume: () => accepted(http.call('POST /v1/executions/{id}/resume', { path })),
      cancel: (reason) => accepted(http.call('POST /v1/executions/{id}/cancel', { path, body: { reason } })),
      ...rewindReads(http, id),
      rollBack: (toPath, options = {}) =>
        accepted(http.call('POST /v1/executions/{id}/rollback', { path, body: { toPath, ...options } })),
      async fork({ id: forkId = newId('execution'), ...forkOptions } = {}) {
        const body = forkBodyOf({ id: forkId, ...forkOptions })
        const forked = await http.call('POST /v1/executions/{id}/fork', { path, body })
        return handleOf<Output>(forked.executionId, forked)
      },
      resolve: (stepPath, resolution, comment) => {
        const settled =
          resolution.status === 'completed'
            ? { ...resolution, output: toPlainJson(resolution.output, 'the output') }
            : resolution
        const body = { path: stepPath, resolution: settled, comment }
        return accepted(http.call('POST /v1/executions/{id}/resolve', { path, body }))
      },
    }
  }

  const start = async (
    agent: Agent<never, unknown> | string,
    input: unknown,
    { id = newId('execution'), options: runOptions }: StartOptions = {},
  ): Promise<RunHandle<unknown>> => {
    const body = {
      agent: typeof agent === 'string' ? agent : agent.id,
      input: toPlainJson(input, 'the input'),
      id,
      ...(runOptions && { options: runOptions }),
    }
    const receipt = await http.call('POST /v1/executions', { body })
    return handleOf(receipt.executionId, receipt)
  }

  return {
    start: start as Client['start'],
    handle: (id) => handleOf(id),
    get: (id) => handleOf(id).get(),
    list: ({ pageSize, forkedFrom, labels, ...filter } = {}) =>
      pages(http, 'GET /v1/executions', {
        query: {
          ...filter,
          forked_from: forkedFrom,
          label: labels && Object.entries(labels).map(([name, value]) => `${name}:${value}`),
          limit: pageSize,
        },
      }),
    replays: replaysOf(http, () => newId('replay')),
    workflows: workflowsOf(
      http,
      () => newId('execution'),
      (executionId, position, deduplicated) =>
        handleOf(executionId, position === undefined ? undefined : { executionId, position, deduplicated }),
    ),
    schedules: schedulesOf(http),
    triggers: triggersOf(http),
    webhooks: webhooksOf(http),
    agents: () => collect(pages(http, 'GET /v1/agents', { query: { limit: 200 } })),
    failures: ({ execution, pageSize } = {}) =>
      pages(http, 'GET /v1/failures', { query: { execution, limit: pageSize } }),
    models: () => readModels(http),
    me: () => http.call('GET /v1/me', {}),
    keys: keysOf(http),
    members: membersOf(http),
    invitations: invitationsOf(http),
    request: (method, path, request) => http.json(method, path, request),
    pages: (path, item, query) => anyPages(http, path, item, query),
    follow: (options) => followEvents(http, options),
    recoveries: recoveriesOf(http),
    recoveryPolicies: recoveryPoliciesOf(http),
    checkpoints: checkpointsOf(http),
  }
}

/** A list that the types know nothing of. */
async function* anyPages<T>(http: Http, path: string, item: z.ZodType<T>, query: Query = {}): AsyncGenerator<T> {
  const items = page(item)
  let cursor: string | undefined
  do {
    const one = items.parse(await http.json('GET', path, { query: { limit: 200, ...query, cursor } }))
    yield* one.items
    cursor = one.nextCursor
  } while (cursor !== undefined)
}

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

const outputOf = (view: ExecutionView): JsonValue => {
  if (view.status === 'completed') return view.output ?? null
  if (view.error) throw OmiumError.fromFailure(view.error)
  throw new OmiumError(
    view.status === 'cancelled' ? 'execution_cancelled' : 'internal',
    `execution ${view.id} ended as ${view.status}`,
  )
}
