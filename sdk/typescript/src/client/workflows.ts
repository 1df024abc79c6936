import {
  type FiringView,
  firingView,
  type JsonValue,
  page,
  type ScheduleView,
  type scheduleBody,
  scheduleView,
  type TemplateView,
  type TriggerReceipt,
  type TriggerView,
  templateView,
  type triggerBody,
  triggerReceipt,
  triggerView,
  type ValidationReport,
  validationReport,
  type WorkflowDetail,
  type WorkflowReceipt,
  type WorkflowRunOptions,
  type WorkflowRunView,
  type WorkflowView,
  workflowDefinitionView,
  workflowDetail,
  workflowReceipt,
  workflowRunReceipt,
  workflowRunView,
  workflowView,
} from '@omium/schemas'
import { z } from 'zod'
import { toPlainJson } from '../replay/plain-json.ts'
import type { RunHandle } from './client.ts'
import type { Http } from './http.ts'
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
  version(id: string, version: number): Promise<z.infer<typeof workflowDefinitionView>>
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

type ScheduleBody = z.input<typeof scheduleBody>
type TriggerBody = z.input<typeof triggerBody>

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

const createdReceipt = workflowReceipt.extend({ version: z.number().int() })
const workflowsPage = page(workflowView)
const runsPage = page(workflowRunView)
const templatesPage = page(templateView)
const schedulesPage = page(scheduleView)
const firingsPage = page(firingView)
const triggersPage = page(triggerView)

const steered = (http: Http, base: string): Steered => {
  const at = (id: string) => `${base}/${encodeURIComponent(id)}`
  return {
    pause: async (id) => workflowReceipt.parse(await http.json('POST', `${at(id)}/pause`, { body: {} })),
    resume: async (id) => workflowReceipt.parse(await http.json('POST', `${at(id)}/resume`, { body: {} })),
    delete: async (id) => workflowReceipt.parse(await http.json('DELETE', at(id))),
  }
}

export const workflowsOf = (
  http: Http,
  newExecutionId: () => string,
  handle: (executionId: string, position: string | undefined, deduplicated: boolean) => RunHandle<JsonValue>,
): Workflows => {
  const at = (id: string) => `/v1/workflows/${encodeURIComponent(id)}`
  return {
    list: () => pages(http, '/v1/workflows', workflowsPage, { limit: 200 }),
    get: async (id) => workflowDetail.parse(await http.json('GET', at(id))),
    version: async (id, version) =>
      workflowDefinitionView.parse(await http.json('GET', `${at(id)}/versions/${version}`)),
    validate: async (definition) => {
      const body = { definition: toPlainJson(definition, 'the definition') }
      return validationReport.parse(await http.json('POST', '/v1/workflows/validate', { body }))
    },
    create: async (id, definition, { publish = false } = {}) => {
      const body = { definition: toPlainJson(definition, 'the definition'), publish }
      return createdReceipt.parse(await http.json('POST', at(id), { body }))
    },
    publish: async (id, version) =>
      workflowReceipt.parse(await http.json('POST', `${at(id)}/versions/${version}/publish`, { body: {} })),
    deprecate: async (id, version, reason) =>
      workflowReceipt.parse(
        await http.json('POST', `${at(id)}/versions/${version}/deprecate`, {
          body: reason === undefined ? {} : { reason },
        }),
      ),
    delete: async (id) => workflowReceipt.parse(await http.json('DELETE', at(id))),
    run: async (id, parameters = {}, { id: runId = newExecutionId(), ...options } = {}) => {
      const body = { parameters: toPlainJson(parameters, 'the parameters'), id: runId, ...options }
      const receipt = workflowRunReceipt.parse(await http.json('POST', `${at(id)}/runs`, { body }))
      return handle(receipt.executionId, receipt.executionPosition, receipt.deduplicated)
    },
    runs: (id) => pages(http, `${at(id)}/runs`, runsPage, { limit: 200 }),
    templates: async () => templatesPage.parse(await http.json('GET', '/v1/workflow-templates')).items,
  }
}

export const schedulesOf = (http: Http): Schedules => {
  const at = (id: string) => `/v1/schedules/${encodeURIComponent(id)}`
  return {
    ...steered(http, '/v1/schedules'),
    list: (workflow) => pages(http, '/v1/schedules', schedulesPage, { workflow, limit: 200 }),
    get: async (id) => scheduleView.parse(await http.json('GET', at(id))),
    put: async (id, schedule) => workflowReceipt.parse(await http.json('PUT', at(id), { body: schedule })),
    firings: (id) => pages(http, `${at(id)}/firings`, firingsPage, { limit: 200 }),
  }
}

export const triggersOf = (http: Http): Triggers => {
  const at = (id: string) => `/v1/triggers/${encodeURIComponent(id)}`
  return {
    ...steered(http, '/v1/triggers'),
    list: () => pages(http, '/v1/triggers', triggersPage, { limit: 200 }),
    get: async (id) => triggerView.parse(await http.json('GET', at(id))),
    put: async (id, trigger) => triggerReceipt.parse(await http.json('PUT', at(id), { body: trigger })),
  }
}
