import {
  type CallerView,
  type CheckpointView,
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
import { type ChargeEvent, type FollowedEvent, type FollowOptions, followFeed } from './follow.ts'
import {
  type AnswerOf,
  type ConnectionOptions,
  either,
  Http,
  type HttpRequest,
  pause,
  type RequestOptions,
  reconnectDelayMs,
} from './http.ts'
import { type Keys, keysOf } from './keys.ts'
import { type Invitations, invitationsOf, type Members, membersOf } from './members.ts'
import { type ModelView, readModels } from './models.ts'
import { pages } from './pages.ts'
import { type Recoveries, type RecoveryPolicies, recoveriesOf, recoveryPoliciesOf } from './recoveries.ts'
import { forkBodyOf, type Replays, type Rewinding, replaysOf, rewindReads } from './rewind.ts'
import { type Webhooks, webhooksOf } from './webhooks.ts'
import { type Schedules, schedulesOf, type Triggers, triggersOf, type Workflows, workflowsOf } from './workflows.ts'

const newId = createIdSource(Date.now, (size) => crypto.getRandomValues(new Uint8Array(size)))
const longPollMs = 20_000
/** how long a result is waited for while the gateway does not answer at all, ms */
const longestOutageMs = 300_000
/** how much later than it was told to a wait may give up, ms */
const graceMs = 1_000

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
  /** The run's checkpoints, also superseded ones, newest first, fetched page by page. */
  checkpoints(filter?: { kind?: 'state' | 'run'; pageSize?: number }): AsyncIterable<CheckpointView>
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
  /** What all executions use and cost, step by step, as it happens; survives reconnects. */
  charges(options?: FollowOptions): AsyncGenerator<ChargeEvent>
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
  request(
    method: string,
    path: string,
    request?: { body?: unknown; query?: Query; idempotencyKey?: string },
  ): Promise<JsonValue>
  /**
   * A client that shares this one's connection and makes its calls otherwise, as do the handles that it gives:
   * `client.withOptions({ signal, timeoutMs: 2_000, maxTries: 1 }).start(...)`.
   */
  withOptions(options: RequestOptions): Client
  /** The items of a paged list that has no call here, fetched as they are read. */
  pages<T>(path: string, item: z.ZodType<T>, query?: Query): AsyncIterable<T>
}
type Query = NonNullable<HttpRequest['query']>

/**
 * A client of the platform. Unset options come from `OMIUM_URL`, `OMIUM_API_KEY` and `OMIUM_MODELS_URL`. Make one and share it:
 * it has no state but its budget of retries, and nothing to close.
 * @throws OmiumError `settings_invalid`
 */
export const omium = (options: ConnectionOptions = {}): Client => clientOn(new Http(options))

const clientOn = (http: Http): Client => {
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
      let answeredAt = performance.now()
      for (let failures = 0; ; ) {
        const left = deadline - performance.now()
        if (left <= 0) throw new OmiumError('timeout', `execution ${id} has not ended within ${timeoutMs} ms`)
        const waitMs = Math.ceil(Math.min(longPollMs, left))
        try {
          const view = await http.call('GET /v1/executions/{id}/result', {
            path,
            // what this handle has started or changed is in the answer, however far the read model lags
            query: { wait_ms: waitMs, min_position: position },
            timeoutMs: Math.min(waitMs + 10_000, left + graceMs),
            maxTries: 1,
            ...(signal && { signal }),
          })
          if (view !== null && isTerminal(view.status)) return view
          answeredAt = performance.now()
          failures = 0
        } catch (error) {
          // the run goes on whatever becomes of the gateway, so waiting does, too
          const isOutage = error instanceof OmiumError && error.retryable
          if (!isOutage || performance.now() - answeredAt > longestOutageMs) throw error
          failures += 1
          const pauseMs = Math.min(reconnectDelayMs(failures), Math.max(0, deadline - performance.now()))
          await pause(pauseMs, either(signal, http.signal))
        }
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
      checkpoints: ({ kind, pageSize } = {}) =>
        pages(http, 'GET /v1/executions/{id}/checkpoints', { path, query: { kind, limit: pageSize } }),
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
    withOptions: (options) => clientOn(http.with(options)),
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
    follow: (options) => followFeed(http, 'GET /v1/events', options),
    charges: (options) => followFeed(http, 'GET /v1/charges', options),
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
