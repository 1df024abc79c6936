import { type JsonValue, OmiumError, type WorkflowBlock, type WorkflowNode } from '@omium/schemas'
import { dependenciesOf, evaluateCondition, fillTemplate, lastNodes } from '@omium/workflow-language'
import { type Frame, type NodeResult, NodeRun, type Surroundings } from './frame.ts'
import { runNode } from './nodes.ts'

/** Failures that belong to the run, not to a node: `onError` does not stand in for them. */
const notHandled: readonly string[] = [
  'replay_mismatch',
  'attempt_fenced',
  'execution_cancelled',
  'execution_timeout',
  'budget_exceeded',
]

/**
 * Runs the nodes of a block, each as soon as what it waits for is done, and gives the block's output. The first failure that
 * no `onError` takes fails the block; what runs beside it is left to the end of the run.
 */
export const runBlock = async (block: WorkflowBlock, frame: Frame, around: Surroundings): Promise<JsonValue> => {
  const dependencies = dependenciesOf(block)
  const done: Record<string, NodeResult> = { ...frame.scope.nodes }
  const inside: Frame = { ...frame, scope: { ...frame.scope, nodes: done } }
  const results = new Map<string, Promise<NodeResult>>()

  const resultOf = (id: string): Promise<NodeResult> => {
    const known = results.get(id)
    if (known) return known
    const result = (async (): Promise<NodeResult> => {
      const needs = await Promise.all([...(dependencies.get(id) ?? [])].map(resultOf))
      const skipped = needs.length > 0 && needs.every(({ status }) => status === 'skipped')
      const outcome = skipped
        ? ({ status: 'skipped', output: null } as const)
        : await outcomeOf(block.nodes[id] as WorkflowNode, id, inside, around)
      done[id] = outcome
      return outcome
    })()
    // whoever waits for it hears of a failure; nobody may wait for it any more
    result.catch(() => undefined)
    results.set(id, result)
    return result
  }

  await Promise.all(Object.keys(block.nodes).map(resultOf))
  if (block.output !== undefined) return fillTemplate(block.output, inside.scope)
  const last = lastNodes(dependencies)
  if (last.length === 1) return done[last[0] as string]?.output ?? null
  return Object.fromEntries(last.map((id) => [id, done[id]?.output ?? null]))
}

const outcomeOf = async (node: WorkflowNode, id: string, frame: Frame, around: Surroundings): Promise<NodeResult> => {
  try {
    if (node.when !== undefined && !evaluateCondition(node.when, frame.scope))
      return { status: 'skipped', output: null }
    return { status: 'completed', output: await runNode(node, new NodeRun(id, frame, around)) }
  } catch (cause) {
    const error = cause instanceof OmiumError ? cause : new OmiumError('workflow_failed', String(cause), { cause })
    if (!node.onError || notHandled.includes(error.code)) throw named(error, id)
    const scope = { ...frame.scope, error: { code: error.code, detail: error.message } }
    return { status: 'failed', output: fillTemplate(node.onError.output, scope) }
  }
}

/** The same failure, with the node in which it happened; the innermost one is named. */
const named = (error: OmiumError, node: string): OmiumError => {
  const data = error.data
  if (data !== null && typeof data === 'object' && !Array.isArray(data) && 'node' in data) return error
  return new OmiumError(error.code, `node "${node}": ${error.message}`, {
    cause: error.cause,
    retryable: error.retryable,
    data: { node, ...(data !== undefined && { data }) },
  })
}
