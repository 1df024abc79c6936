import type {
  FiringView,
  JsonValue,
  ScheduleView,
  TemplateView,
  TriggerReceipt,
  TriggerView,
  ValidationReport,
  WorkflowDetail,
  WorkflowReceipt,
  WorkflowRunOptions,
  WorkflowRunView,
  WorkflowView,
} from '@omium/schemas'
import { toPlainJson } from '../replay/plain-json.ts'
import type { RunHandle } from './client.ts'
import type { Operations } from './generated/operations.ts'
import type { AnswerOf, Http } from './http.ts'
import { pages } from './pages.ts'

export interface RunWorkflowOptions {
  /** at most 60 characters; running twice with one id and equal parameters gives one run */
  id?: string
  /** the newest published one unless given */
  version?: number
  options?: WorkflowRunOptions
}

/** Workflow definitions and their runs. @throws OmiumError of the gateway's code, e.g. `workflow_invalid` with each problem */
export interface Workflows {
  list(): AsyncIterable<WorkflowView>
  get(id: string): Promise<WorkflowDetail>
  /** one version with its definition */
  version(id: string, version: number): Promise<AnswerOf<'GET /v1/workflows/{id}/versions/{version}'>>
  validate(definition: unknown): Promise<ValidationReport>
  /** A new workflow, or another version of one; an equal definition makes none. */
  create(
    id: string,
    definition: unknown,
    options?: { publish?: boolean },
  ): Promise<WorkflowReceipt & { version: number }>
  publish(id: string, version: number): Promise<WorkflowReceipt>
  deprecate(id: string, version: number, reason?: string): Promise<WorkflowReceipt>
  delete(id: string): Promise<WorkflowReceipt>
  run(id: string, parameters?: unknown, options?: RunWorkflowOptions): Promise<RunHandle<JsonValue>>
  /** Newest first. */
  runs(id: string): AsyncIterable<WorkflowRunView>
  templates(): Promise<TemplateView[]>
}

type ScheduleBody = Operations['PUT /v1/schedules/{id}']['body']
type TriggerBody = Operations['PUT /v1/triggers/{id}']['body']

interface Steered {
  pause(id: string): Promise<WorkflowReceipt>
  resume(id: string): Promise<WorkflowReceipt>
  delete(id: string): Promise<WorkflowReceipt>
}

/** When workflows run by themselves. */
export interface Schedules extends Steered {
  list(workflow?: string): AsyncIterable<ScheduleView>
  get(id: string): Promise<ScheduleView>
  put(id: string, schedule: ScheduleBody): Promise<WorkflowReceipt>
  /** What became of its moments, newest first. */
  firings(id: string): AsyncIterable<FiringView>
}

/** What makes workflows run. */
export interface Triggers extends Steered {
  list(): AsyncIterable<TriggerView>
  get(id: string): Promise<TriggerView>
  /** The answer to a new webhook has its URL and, once, its secret. */
  put(id: string, trigger: TriggerBody): Promise<TriggerReceipt>
}

export const workflowsOf = (
  http: Http,
  newExecutionId: () => string,
  handle: (executionId: string, position: string | undefined, deduplicated: boolean) => RunHandle<JsonValue>,
): Workflows => ({
  list: () => pages(http, 'GET /v1/workflows', { query: { limit: 200 } }),
  get: (id) => http.call('GET /v1/workflows/{id}', { path: { id } }),
  version: (id, version) => http.call('GET /v1/workflows/{id}/versions/{version}', { path: { id, version } }),
  validate: (definition) =>
    http.call('POST /v1/workflows/validate', { body: { definition: toPlainJson(definition, 'the definition') } }),
  create: (id, definition, { publish = false } = {}) => {
    const body = { definition: toPlainJson(definition, 'the definition'), publish }
    return http.call('POST /v1/workflows/{id}', { path: { id }, body })
  },
  publish: (id, version) => http.call('POST /v1/workflows/{id}/versions/{version}/publish', { path: { id, version } }),
  deprecate: (id, version, reason) =>
    http.call('POST /v1/workflows/{id}/versions/{version}/deprecate', { path: { id, version }, body: { reason } }),
  delete: (id) => http.call('DELETE /v1/workflows/{id}', { path: { id } }),
  run: async (id, parameters = {}, { id: runId = newExecutionId(), ...options } = {}) => {
    const body = { parameters: toPlainJson(parameters, 'the parameters'), id: runId, ...options }
    const receipt = await http.call('POST /v1/workflows/{id}/runs', { path: { id }, body })
    return handle(receipt.executionId, receipt.executionPosition, receipt.deduplicated)
  },
  runs: (id) => pages(http, 'GET /v1/workflows/{id}/runs', { path: { id }, query: { limit: 200 } }),
  templates: async () => (await http.call('GET /v1/workflow-templates', {})).items,
})

export const schedulesOf = (http: Http): Schedules => ({
  list: (workflow) => pages(http, 'GET /v1/schedules', { query: { workflow, limit: 200 } }),
  get: (id) => http.call('GET /v1/schedules/{id}', { path: { id } }),
  put: (id, schedule) => http.call('PUT /v1/schedules/{id}', { path: { id }, body: schedule }),
  pause: (id) => http.call('POST /v1/schedules/{id}/pause', { path: { id } }),
  resume: (id) => http.call('POST /v1/schedules/{id}/resume', { path: { id } }),
  delete: (id) => http.call('DELETE /v1/schedules/{id}', { path: { id } }),
  firings: (id) => pages(http, 'GET /v1/schedules/{id}/firings', { path: { id }, query: { limit: 200 } }),
})

export const triggersOf = (http: Http): Triggers => ({
  list: () => pages(http, 'GET /v1/triggers', { query: { limit: 200 } }),
  get: (id) => http.call('GET /v1/triggers/{id}', { path: { id } }),
  put: (id, trigger) => http.call('PUT /v1/triggers/{id}', { path: { id }, body: trigger }),
  pause: (id) => http.call('POST /v1/triggers/{id}/pause', { path: { id } }),
  resume: (id) => http.call('POST /v1/triggers/{id}/resume', { path: { id } }),
  delete: (id) => http.call('DELETE /v1/triggers/{id}', { path: { id } }),
})
