import type { CommandDraft } from '@omium/log'
import {
  aggregateKey,
  executionOptions,
  hashJson,
  type JsonValue,
  OmiumError,
  requestHashOf,
  type WorkflowBundle,
  type WorkflowDefinition,
  workflowAgentId,
} from '@omium/schemas'
import { checkParameters, fillText } from '@omium/workflow-language'
import type { RunState, WorkflowState } from './domain/workflow.ts'
import type { Payloads } from './ports.ts'

/** At most so many comprehensions inside each other: everyone waits while the manager evaluates. */
const nesting = 1

const concurrencyOf = (
  { concurrency }: WorkflowDefinition,
  workflowId: string,
  parameters: JsonValue,
): { key: string; limit: number } | undefined => {
  if (!concurrency) return undefined
  const { limit, key } = concurrency
  if (key === undefined) return { key: `workflow.${workflowId}`, limit }
  // any text may come out of the template; a key has an alphabet
  const text = hashJson(fillText(key, { parameters }, nesting)).slice(0, 16)
  return { key: `workflow.${workflowId}.${text}`, limit }
}

/**
 * The command that starts the execution of a run. It carries the definition: whatever is published later, the run keeps its
 * version. Building it again gives an equal command.
 * @throws OmiumError what can never be started is not retryable
 */
export const startCommand = async (
  state: WorkflowState,
  run: RunState,
  id: string,
  payloads: Payloads,
): Promise<CommandDraft> => {
  const { tenant, workflowId } = state
  const version = state.versions[run.version - 1]
  if (!version) throw new OmiumError('workflow_unknown', `workflow ${workflowId} has no version ${run.version}`)
  const bundle = (await payloads.open(version.bundle)) as unknown as WorkflowBundle
  const { definition } = bundle
  const parameters = checkParameters(definition.parameters, await payloads.open(run.parameters))
  const input = { workflow: workflowId, version: run.version, bundle: bundle as unknown as JsonValue, parameters }
  const { budgetMicroCredits, timeoutMs, retry, recovery } = definition
  const concurrency = concurrencyOf(definition, workflowId, parameters)
  const options = executionOptions.parse({
    ...(budgetMicroCredits !== undefined && { budgetMicroCredits }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(retry && { retry }),
    ...(recovery && { recovery }),
    ...(concurrency && { concurrency }),
    labels: {
      workflow: workflowId,
      version: String(run.version),
      ...(run.source.type === 'schedule' && { schedule: run.source.scheduleId }),
      ...(run.source.type === 'trigger' && { trigger: run.source.triggerId }),
    },
    ...run.options,
  })
  return {
    id,
    type: 'StartExecution',
    data: {
      executionId: run.runId,
      agentId: workflowAgentId,
      input: await payloads.seal(tenant, run.runId, input),
      requestHash: requestHashOf({ workflow: workflowId, version: run.version, request: run.requestHash }),
      options,
    },
    aggregate: aggregateKey('execution', tenant, run.runId),
    tenant,
    actor: 'system',
    correlationId: run.correlationId,
  }
}

export const cancelCommand = ({ tenant }: WorkflowState, run: RunState, id: string): CommandDraft => ({
  id,
  type: 'CancelExecution',
  data: { reason: 'the next run of its schedule takes its place' },
  aggregate: aggregateKey('execution', tenant, run.runId),
  tenant,
  actor: 'system',
  correlationId: run.correlationId,
})
