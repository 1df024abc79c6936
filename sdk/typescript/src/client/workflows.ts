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

type NewId = () => string

const writerOf =
  (http: Http, newCommandId: NewId) =>
  async (method: string, path: string, body: unknown): Promise<JsonValue> =>
    // one key for all tries of a call: it is decided once, however often it has to be sent
    http.json(method, path, { body, idempotent: true, headers: { 'idempotency-key': newCommandId() } })

const steered = (http: Http, newCommandId: NewId, base: string): Steered => {
  const write = writerOf(http, newCommandId)
  const at = (id: string) => `${base}/${encodeURIComponent(id)}`
  return {
    pause: async (id) => workflowReceipt.parse(await write('POST', `${at(id)}/pause`, {})),
    resume: async (id) => workflowReceipt.parse(await write('POST', `${at(id)}/resume`, {})),
    delete: async (id) => workflowReceipt.parse(await write('DELETE', at(id), undefined)),
  }
}

export const workflowsOf = (
  http: Http,
  ids: { readonly command: NewId; readonly execution: NewId },
  handle: (executionId: string, position: string | undefined, deduplicated: boolean) => RunHandle<JsonValue>,
): Workflows => {
  const write = writerOf(http, ids.command)
  const at = (id: string) => `/v1/workflows/${encodeURIComponent(id)}`
  return {
    list: () => pages(http, '/v1/workflows', workflowsPage, { limit: 200 }),
    get: async (id) => workflowDetail.parse(await http.json('GET', at(id), { idempotent: true })),
    version: async (id, version) =>
      workflowDefinitionView.parse(await http.json('GET', `${at(id)}/versions/${version}`, { idempotent: true })),
    validate: async (definition) => {
      const body = { definition: toPlainJson(definition, 'the definition') }
      return validationReport.parse(await http.json('POST', '/v1/workflows/validate', { body, idempotent: true }))
    },
    create: async (id, definition, { publish = false } = {}) => {
      const body = { definition: toPlainJson(definition, 'the definition'), publish }
      return createdReceipt.parse(await write('POST', at(id), body))
    },
    publish: async (id, version) =>
      workflowReceipt.parse(await write('POST', `${at(id)}/versions/${version}/publish`, {})),
    deprecate: async (id, version, reason) =>
      workflowReceipt.parse(
        await write('POST', `${at(id)}/versions/${version}/deprecate`, reason === undefined ? {} : { reason }),
      ),
    delete: async (id) => workflowReceipt.parse(await write('DELETE', at(id), undefined)),
    run: async (id, parameters = {}, { id: runId = ids.execution(), ...options } = {}) => {
      const body = { parameters: toPlainJson(parameters, 'the parameters'), id: runId, ...options }
      const receipt = workflowRunReceipt.parse(await http.json('POST', `${at(id)}/runs`, { body, idempotent: true }))
      return handle(receipt.executionId, receipt.executionPosition, receipt.deduplicated)
    },
    runs: (id) => pages(http, `${at(id)}/runs`, runsPage, { limit: 200 }),
    templates: async () =>
      templatesPage.parse(await http.json('GET', '/v1/workflow-templates', { idempotent: true })).items,
  }
}

export const schedulesOf = (http: Http, newCommandId: NewId): Schedules => {
  const write = writerOf(http, newCommandId)
  const at = (id: string) => `/v1/schedules/${encodeURIComponent(id)}`
  return {
    ...steered(http, newCommandId, '/v1/schedules'),
    list: (workflow) => pages(http, '/v1/schedules', schedulesPage, { workflow, limit: 200 }),
    get: async (id) => scheduleView.parse(await http.json('GET', at(id), { idempotent: true })),
    put: async (id, schedule) => workflowReceipt.parse(await write('PUT', at(id), schedule)),
    firings: (id) => pages(http, `${at(id)}/firings`, firingsPage, { limit: 200 }),
  }
}

export const triggersOf = (http: Http, newCommandId: NewId): Triggers => {
  const write = writerOf(http, newCommandId)
  const at = (id: string) => `/v1/triggers/${encodeURIComponent(id)}`
  return {
    ...steered(http, newCommandId, '/v1/triggers'),
    list: () => pages(http, '/v1/triggers', triggersPage, { limit: 200 }),
    get: async (id) => triggerView.parse(await http.json('GET', at(id), { idempotent: true })),
    put: async (id, trigger) => triggerReceipt.parse(await write('PUT', at(id), trigger)),
  }
}
