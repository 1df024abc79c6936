import { listAgents } from '@omium/projection-executions'
import { getVersion, listWorkflows } from '@omium/projection-workflows'
import {
  type AgentDefinition,
  type JsonValue,
  OmiumError,
  subworkflowKey,
  type WorkflowBlock,
  type WorkflowBundle,
  type WorkflowNode,
  type WorkflowProblem,
} from '@omium/schemas'
import { schemaProblem, validateWorkflow } from '@omium/workflow-language'
import type { FastifyRequest } from 'fastify'
import { callerOf } from './auth.ts'
import type { Services } from './services.ts'

/** From a definition as somebody wrote it to what a version consists of: checked, and with everything that it calls. */

const mostListed = 5_000
const pageSize = 200
const longestToolDescription = 1024
/** read together; a bundle, in which what is shared is there once, is smaller by far */
const mostCalledBytes = 40 * 1024 * 1024

/** For whom a definition is checked: what there is for one tenant and key need not be there for another. */
export interface Reader {
  readonly tenant: string
  readonly authorization: string | undefined
}

export const readerOf = (request: FastifyRequest): Reader => ({
  tenant: callerOf(request).tenant,
  authorization: request.headers.authorization,
})

interface Called {
  readonly workflow: string
  readonly version: number | undefined
}

/** The workflows that a definition names, wherever in it; it may not even have the right shape. */
const calledBy = (value: JsonValue, found: Called[] = []): Called[] => {
  if (value === null || typeof value !== 'object') return found
  if (!Array.isArray(value) && value['type'] === 'workflow' && typeof value['workflow'] === 'string') {
    const { workflow, version } = value
    found.push({ workflow, version: typeof version === 'number' ? version : undefined })
  }
  for (const member of Array.isArray(value) ? value : Object.values(value)) calledBy(member, found)
  return found
}

const knownAgents = async ({ reads }: Services, tenant: string): Promise<Map<string, AgentDefinition>> => {
  const agents = new Map<string, AgentDefinition>()
  let cursor: string | undefined
  do {
    const page = await listAgents(reads, tenant, { limit: pageSize, cursor })
    for (const { agent, definition } of page.items) agents.set(agent, definition)
    cursor = page.nextCursor
  } while (cursor !== undefined && agents.size < mostListed)
  return agents
}

interface Resolved {
  readonly version: number
  readonly bundle: WorkflowBundle
}

const resolve = async (
  { reads, payloads }: Services,
  tenant: string,
  called: readonly Called[],
): Promise<Map<string, Resolved>> => {
  const resolved = new Map<string, Resolved>()
  let bytes = 0
  for (const { workflow, version } of called.slice(0, 100)) {
    const key = subworkflowKey(workflow, version ?? 0)
    if (resolved.has(key)) continue
    const record = await getVersion(reads, tenant, workflow, version)
    if (!record) continue
    bytes += 'ref' in record.bundle ? record.bundle.ref.bytes : 0
    if (bytes > mostCalledBytes)
      throw new OmiumError('payload_too_large', 'the workflows that it calls are larger, together, than one may be')
    const bundle = (await payloads.open(record.bundle)) as unknown as WorkflowBundle
    resolved.set(key, { version: record.version, bundle })
  }
  return resolved
}

export interface Prepared {
  readonly problems: readonly WorkflowProblem[]
  /** present when nothing is wrong */
  readonly bundle: WorkflowBundle | undefined
}

/** @param strict what is not there yet (agents, models) is an error; otherwise, as for drafts, a warning */
export const prepareBundle = async (
  services: Services,
  { tenant, authorization }: Reader,
  definition: JsonValue,
  strict: boolean,
): Promise<Prepared> => {
  const resolved = await resolve(services, tenant, calledBy(definition))
  const workflows = await listWorkflows(services.reads, tenant, { limit: pageSize })
  const agents = await knownAgents(services, tenant)
  const { problems: found, definition: checked } = validateWorkflow(definition, {
    agents: new Map([...agents].map(([agent, { inputSchema }]) => [agent, inputSchema])),
    models: await services.models.namedFor(authorization),
    workflows: workflows.items.map(({ id }) => id),
    workflow: (id, version) => resolved.get(subworkflowKey(id, version ?? 0))?.bundle,
  })
  const lenient = (problem: WorkflowProblem): WorkflowProblem =>
    !strict && (problem.code === 'unknown_agent' || problem.code === 'unknown_model')
      ? { ...problem, severity: 'warning' }
      : problem
  const problems = found.map(lenient)
  if (problems.some(({ severity }) => severity === 'error')) return { problems, bundle: undefined }
  // only warnings are left: without them the validation gives the definition
  const usable = checked ?? validateWorkflow(definition).definition
  if (!usable) throw new OmiumError('internal', 'a definition without errors could not be read')
  const subworkflows: Record<string, WorkflowBundle['definition']> = {}
  pin(usable, { resolved, agents }, subworkflows)
  return { problems, bundle: { definition: usable, subworkflows } }
}

interface Callable {
  readonly resolved: ReadonlyMap<string, Resolved>
  readonly agents: ReadonlyMap<string, AgentDefinition>
}

/** Writes into every call which version it means, into every tool what it takes and is for, and collects what is called. */
const pin = (
  block: Pick<WorkflowBlock, 'nodes'>,
  callable: Callable,
  subworkflows: Record<string, WorkflowBundle['definition']>,
): void => {
  for (const node of Object.values(block.nodes)) {
    for (const inner of innerBlocks(node)) pin(inner, callable, subworkflows)
    if (node.type === 'model')
      for (const tool of node.tools ?? []) {
        const { inputSchema, description } = callable.agents.get(tool.agent) ?? {}
        if (description !== undefined) tool.description ??= description.slice(0, longestToolDescription)
        // a worker's validator may know more than the platform's: then the agent alone checks its input
        if (inputSchema && schemaProblem(inputSchema) === undefined) tool.parameters ??= { ...inputSchema }
      }
    if (node.type !== 'workflow') continue
    const target = callable.resolved.get(subworkflowKey(node.workflow, node.version ?? 0))
    if (!target) continue
    node.version = target.version
    subworkflows[subworkflowKey(node.workflow, target.version)] = target.bundle.definition
    Object.assign(subworkflows, target.bundle.subworkflows)
  }
}

const innerBlocks = (node: WorkflowNode): WorkflowBlock[] => {
  switch (node.type) {
    case 'switch':
      return [...node.cases.map(({ do: block }) => block), ...(node.otherwise ? [node.otherwise] : [])]
    case 'map':
    case 'loop':
      return [node.do]
    case 'parallel':
      return Object.values(node.branches)
    default:
      return []
  }
}

/** @throws OmiumError `workflow_invalid` with every problem and its place */
export const requireBundle = ({ bundle, problems }: Prepared): WorkflowBundle => {
  if (bundle) return bundle
  const errors = problems
    .filter(({ severity }) => severity === 'error')
    .map(({ pointer, message, expected, suggestion }) => ({
      path: pointer,
      message: [message, expected && `expected ${expected}`, suggestion].filter(Boolean).join('; '),
    }))
  const [first] = errors
  const detail = `${errors.length} problem(s), the first: ${first?.path || '/'}: ${first?.message}`
  throw new OmiumError('workflow_invalid', detail.slice(0, 2000), { data: errors as unknown as JsonValue })
}
