import {
  type JsonValue,
  type NodeOf,
  OmiumError,
  subworkflowKey,
  type WorkflowNode,
  workflowAgentId,
} from '@omium/schemas'
import { checkParameters, checkValue, compileExpression, type ScopeName } from '@omium/workflow-language'
import type { NodeRun } from './frame.ts'
import { callModel } from './model.ts'

type NodeType = WorkflowNode['type']
type Runner<T extends NodeType> = (node: NodeOf<T>, run: NodeRun) => Promise<JsonValue>

/** What each type of node does. */
export const runNode = <T extends NodeType>(node: NodeOf<T>, run: NodeRun): Promise<JsonValue> =>
  runners[node.type as T](node, run)

const timeoutOf = ({ timeoutMs }: { readonly timeoutMs?: number | undefined }) =>
  timeoutMs === undefined ? {} : { timeoutMs }

const callAgent: Runner<'agent'> = (node, run) => {
  const options = { ...node.options, ...timeoutOf(node) } as never
  return run.call(node.agent, run.fill(node.input ?? {}), options, node.retry)
}

const callWorkflow: Runner<'workflow'> = async (node, run) => {
  const { workflow, version } = node
  const { subworkflows } = run.around
  const definition = version === undefined ? undefined : subworkflows[subworkflowKey(workflow, version)]
  if (version === undefined || !definition)
    throw new OmiumError('workflow_unknown', `the version does not contain workflow ${workflow}@${version ?? '?'}`)
  const parameters = checkParameters(definition.parameters, run.fill(node.parameters ?? {}))
  const input = { workflow, version, bundle: { definition, subworkflows }, parameters } as unknown as JsonValue
  const { budgetMicroCredits } = definition
  const options = { ...timeoutOf(node), ...(budgetMicroCredits !== undefined && { budgetMicroCredits }) }
  return run.call(workflowAgentId, input, options, node.retry)
}

const approve: Runner<'approval'> = async (node, run) => {
  const answer = await run.ctx.approve(run.text(node.ask).slice(0, 500), {
    ...run.step(),
    ...(node.details !== undefined && { details: run.fill(node.details) }),
    ...timeoutOf(node),
  })
  if (answer.approved || node.onRefusal === 'continue') return answer as JsonValue
  const why = answer.timedOut ? `nobody decided within ${node.timeoutMs} ms` : `refused by ${answer.by}`
  throw new OmiumError('approval_rejected', `${why}${answer.comment ? `: ${answer.comment}` : ''}`)
}

const wait: Runner<'wait'> = async (node, run) => {
  const payload = await run.ctx.waitFor(node.signal, { ...run.step(), ...timeoutOf(node) })
  if (!node.schema) return payload
  const checked = checkValue(node.schema, payload)
  if ('value' in checked) return checked.value
  throw new OmiumError('input_invalid', `the signal "${node.signal}" does not fit: ${checked.problems.join('; ')}`)
}

const sleep: Runner<'sleep'> = async (node, run) => {
  const durationMs = run.fill(node.durationMs)
  if (typeof durationMs !== 'number' || !(durationMs >= 0)) {
    const given = JSON.stringify(durationMs)
    throw new OmiumError('invalid_request', `durationMs gives ${given}, not a number of milliseconds`)
  }
  await run.ctx.sleep(Math.round(durationMs), run.step())
  return null
}

const choose: Runner<'switch'> = async (node, run) => {
  const taken = node.cases.find(({ when }) => run.holds(when))?.do ?? node.otherwise
  return run.record(taken ? await run.block(taken) : null)
}

const map: Runner<'map'> = async (node, run) => {
  const list = compileExpression(node.over, Object.keys(run.scope) as ScopeName[]).evaluate(run.scope)
  if (!Array.isArray(list))
    throw new OmiumError('invalid_request', `\`${node.over}\` gives ${JSON.stringify(list)?.slice(0, 100)}, not a list`)
  if (list.length > node.maxItems)
    throw new OmiumError('invalid_request', `the list has ${list.length} items, ${node.maxItems} are allowed`)
  const outputs: JsonValue[] = new Array(list.length).fill(null)
  let next = 0
  let failed = false
  const work = async (): Promise<void> => {
    while (next < list.length && !failed) {
      const index = next++
      try {
        outputs[index] = await run.block(node.do, index, { item: list[index] ?? null, index })
      } catch (error) {
        // nothing more is begun once the node has failed
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(node.concurrency, list.length) }, work))
  return run.record(outputs)
}

const parallel: Runner<'parallel'> = async (node, run) => {
  const branches = Object.entries(node.branches)
  const outputs = await Promise.all(branches.map(([name, block]) => run.block(block, name)))
  return run.record(Object.fromEntries(branches.map(([name], i) => [name, outputs[i] as JsonValue])))
}

const loop: Runner<'loop'> = async (node, run) => {
  let last = run.fill(node.initial ?? null)
  for (let iteration = 0; iteration < node.maxIterations; iteration++) {
    last = await run.block(node.do, iteration, { iteration, last })
    if (node.until !== undefined && run.holds(node.until, { iteration, last })) return run.record(last)
  }
  if (node.until !== undefined && node.onLimit === 'fail')
    throw new OmiumError('workflow_failed', `\`${node.until}\` is still false after ${node.maxIterations} rounds`)
  return run.record(last)
}

const runners: { readonly [T in NodeType]: Runner<T> } = {
  agent: callAgent,
  model: callModel,
  approval: approve,
  wait,
  sleep,
  set: (node, run) => run.record(run.fill(node.value)),
  fail: async (node, run) => {
    throw new OmiumError('workflow_failed', run.text(node.message))
  },
  switch: choose,
  map,
  parallel,
  loop,
  workflow: callWorkflow,
}
