import {
  getVersion,
  getWorkflow,
  listRuns,
  listVersions,
  listWorkflows,
  type RunRecord,
  type VersionRecord,
  type WorkflowRecord,
} from '@omium/projection-workflows'
import {
  aggregateKey,
  createWorkflowBody,
  hashJson,
  type JsonValue,
  page,
  pageQuery,
  reasonBody,
  requestHashOf,
  runWorkflowBody,
  templateView,
  validateWorkflowBody,
  validationReport,
  type WorkflowContextCommand,
  type WorkflowRunView,
  type WorkflowVersionView,
  type WorkflowView,
  workflowAgentId,
  workflowDefinitionView,
  workflowDetail,
  workflowIdParam,
  workflowReceipt,
  workflowRunId,
  workflowRunReceipt,
  workflowRunView,
  workflowVersionParam,
  workflowView,
} from '@omium/schemas'
import { checkParameters, workflowTemplates } from '@omium/workflow-language'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import { deterministicCommandId } from '../commands.ts'
import { isUnchanged, unchanged } from '../etags.ts'
import { askerOf, commandIdOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'
import { prepareBundle, readerOf, requireBundle } from '../workflow-bundles.ts'
import { requireCurrent, requireVersion } from '../workflow-reads.ts'

/** how long a start waits for its execution to appear; the run is accepted anyhow */
const startWaitMs = 3_000

const read = { permission: 'workflows:read' } as const
const write = { permission: 'workflows:write' } as const

/** Workflow definitions and their runs. */
export const workflowRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, executions, workflows, payloads, agents, ids, limits } = services
    const { live } = executions
    const tags = ['workflows']

    const send = async (
      request: FastifyRequest,
      id: string,
      command: WorkflowContextCommand,
      commandId = commandIdOf(request, ids, id),
    ) => {
      const aggregate = aggregateKey('workflow', callerOf(request).tenant, id)
      return { id, ...(await workflows.execute(askerOf(request), aggregate, commandId, command)) }
    }

    app.post(
      '/v1/workflows/validate',
      {
        config: read,
        schema: {
          tags,
          summary: 'Say everything that is wrong with a definition',
          body: validateWorkflowBody,
          response: { 200: validationReport },
        },
      },
      async (request) => {
        const { bundle, problems } = await prepareBundle(services, readerOf(request), request.body.definition, true)
        return { valid: bundle !== undefined, problems: [...problems] }
      },
    )

    app.get(
      '/v1/workflow-templates',
      {
        config: read,
        schema: { tags, summary: 'Definitions to start from', response: { 200: page(templateView) } },
      },
      async () => ({ items: workflowTemplates.map((template) => ({ ...template, agents: [...template.agents] })) }),
    )

    app.get(
      '/v1/workflows',
      {
        config: read,
        schema: { tags, summary: 'List workflows', querystring: pageQuery, response: { 200: page(workflowView) } },
      },
      async (request) => {
        await workflows.untilCurrent()
        const { items, ...rest } = await listWorkflows(reads, callerOf(request).tenant, request.query)
        return { items: items.map(workflowViewOf), ...rest }
      },
    )

    app.post(
      '/v1/workflows/:id',
      {
        config: write,
        schema: {
          tags,
          summary: 'Create a workflow, or another version of it',
          description: 'A definition that equals the newest version makes no other one.',
          params: workflowIdParam,
          body: createWorkflowBody,
          response: {
            201: workflowReceipt.extend({ version: z.number().int() }),
            200: workflowReceipt.extend({ version: z.number().int() }),
          },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        const { definition, publish } = request.body
        const bundle = requireBundle(await prepareBundle(services, readerOf(request), definition, publish))
        const bundleHash = hashJson(bundle)
        const { name, description } = bundle.definition
        const receipt = await send(request, id, {
          type: 'CreateWorkflowVersion',
          data: {
            workflowId: id,
            name,
            ...(description !== undefined && { description }),
            bundle: await payloads.seal(tenant, `workflow.${id}`, bundle as unknown as JsonValue),
            bundleHash,
            publish,
          },
        })
        await workflows.untilReached(receipt.position)
        const versions = await listVersions(reads, tenant, id)
        const version = versions.findLast(({ hash }) => hash === bundleHash)?.version ?? versions.length
        return reply.status(receipt.deduplicated ? 200 : 201).send({ ...receipt, version })
      },
    )

    app.get(
      '/v1/workflows/:id',
      {
        config: read,
        schema: {
          tags,
          summary: 'Get a workflow and its versions',
          params: workflowIdParam,
          response: { 200: workflowDetail },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        const record = await requireCurrent(services, 'workflow', tenant, id, () => getWorkflow(reads, tenant, id))
        const versions = await listVersions(reads, tenant, id)
        return { ...workflowViewOf(record), versions: versions.map(versionViewOf) }
      },
    )

    app.delete(
      '/v1/workflows/:id',
      {
        config: write,
        schema: {
          tags,
          summary: 'Delete: no new runs; those that run go on',
          params: workflowIdParam,
          response: { 200: workflowReceipt },
        },
      },
      async (request) => send(request, request.params.id, { type: 'DeleteWorkflow', data: {} }),
    )

    app.get(
      '/v1/workflows/:id/versions/:version',
      {
        config: read,
        schema: {
          tags,
          summary: 'Get one version with its definition',
          params: workflowVersionParam,
          response: { 200: workflowDefinitionView, 304: unchanged },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const { id, version } = request.params
        const record = await requireCurrent(services, 'workflow', tenant, id, () =>
          getVersion(reads, tenant, id, version),
        )
        // a version's definition never changes, its status does
        if (isUnchanged(request, reply, `${record.hash}-${record.status}`)) return reply.status(304).send()
        const { bundle } = await requireVersion(services, tenant, id, version)
        return { id, ...versionViewOf(record), definition: bundle.definition as unknown as JsonValue }
      },
    )

    app.post(
      '/v1/workflows/:id/versions/:version/publish',
      {
        config: write,
        schema: {
          tags,
          summary: 'Publish a version',
          params: workflowVersionParam,
          response: { 200: workflowReceipt },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id, version } = request.params
        // what a draft may lack has to be there now
        const { bundle } = await requireVersion(services, tenant, id, version)
        requireBundle(await prepareBundle(services, readerOf(request), bundle.definition as unknown as JsonValue, true))
        return send(request, id, { type: 'PublishWorkflowVersion', data: { version } })
      },
    )

    app.post(
      '/v1/workflows/:id/versions/:version/deprecate',
      {
        config: write,
        schema: {
          tags,
          summary: 'Deprecate a version: no new runs of it',
          params: workflowVersionParam,
          body: reasonBody.nullish(),
          response: { 200: workflowReceipt },
        },
      },
      async (request) =>
        send(request, request.params.id, {
          type: 'DeprecateWorkflowVersion',
          data: { version: request.params.version, ...request.body },
        }),
    )

    app.post(
      '/v1/workflows/:id/runs',
      {
        config: { permission: 'executions:write', limitedKeys: true },
        schema: {
          tags,
          summary: 'Run a workflow',
          description: 'The run is an execution: read, watch and steer it as such, by `executionId`.',
          params: workflowIdParam,
          body: runWorkflowBody,
          response: { 201: workflowRunReceipt, 200: workflowRunReceipt },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        const { parameters, version, id: given = newIdOf(request, ids, 'execution'), options } = request.body
        await agents.get(tenant, workflowAgentId)
        const { bundle } = await requireVersion(services, tenant, id, version)
        checkParameters(bundle.definition.parameters, parameters)
        const runId = workflowRunId(id, given)
        const requestHash = requestHashOf({ parameters, version: version ?? null, options: options ?? null })
        const started = startOf(live, tenant, runId, Math.min(startWaitMs, limits.readWaitMs))
        const data = {
          runId,
          parameters: await payloads.seal(tenant, runId, parameters),
          requestHash,
          source: { type: 'request' as const },
          ...(version !== undefined && { version }),
          ...(options && { options }),
        }
        const commandId = deterministicCommandId('run', tenant, runId, requestHash)
        try {
          const receipt = await send(request, id, { type: 'RunWorkflow', data }, commandId)
          // the next read of the execution is to find it
          const executionPosition = receipt.deduplicated ? undefined : await started.position
          return await reply
            .status(receipt.deduplicated ? 200 : 201)
            .send({ ...receipt, executionId: runId, ...(executionPosition && { executionPosition }) })
        } finally {
          started.stop()
        }
      },
    )

    app.get(
      '/v1/workflows/:id/runs',
      {
        config: { permission: 'executions:read', limitedKeys: true },
        schema: {
          tags,
          summary: 'Runs of a workflow, newest first',
          params: workflowIdParam,
          querystring: pageQuery,
          response: { 200: page(workflowRunView) },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        await requireCurrent(services, 'workflow', tenant, id, () => getWorkflow(reads, tenant, id))
        const { items, ...rest } = await listRuns(reads, tenant, id, request.query)
        return { items: items.map(runViewOf), ...rest }
      },
    )
  }

/** When the execution of a run is on its log, and where; undefined when it takes longer than `timeoutMs`. */
const startOf = (live: Services['executions']['live'], tenant: string, runId: string, timeoutMs: number) => {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const unsubscribe = live.subscribe(aggregateKey('execution', tenant, runId), ({ partition, offset }) =>
    resolve(`${partition}:${offset}`),
  )
  const timer = setTimeout(() => resolve(undefined), timeoutMs)
  return {
    position: promise,
    stop: () => {
      clearTimeout(timer)
      unsubscribe()
    },
  }
}

const workflowViewOf = (record: WorkflowRecord): WorkflowView => ({
  id: record.id,
  name: record.name,
  ...(record.description !== null && { description: record.description }),
  ...(record.publishedVersion !== null && { publishedVersion: record.publishedVersion }),
  latestVersion: record.latestVersion,
  activeRuns: record.activeRuns,
  createdAt: record.createdAt.toISOString(),
  updatedAt: record.updatedAt.toISOString(),
  position: `${record.partition}:${record.offset}`,
})

const versionViewOf = (record: VersionRecord): WorkflowVersionView => ({
  version: record.version,
  status: record.status,
  hash: record.hash,
  createdAt: record.createdAt.toISOString(),
  createdBy: record.createdBy,
  ...(record.publishedAt && { publishedAt: record.publishedAt.toISOString() }),
  ...(record.deprecatedAt && { deprecatedAt: record.deprecatedAt.toISOString() }),
})

const runViewOf = (record: RunRecord): WorkflowRunView => ({
  id: record.id,
  workflow: record.workflow,
  version: record.version,
  source: record.source,
  status: record.status,
  ...(record.ended && { end: record.ended }),
  requestedAt: record.requestedAt.toISOString(),
  ...(record.endedAt && { endedAt: record.endedAt.toISOString() }),
})
