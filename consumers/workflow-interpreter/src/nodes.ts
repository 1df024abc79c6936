import {
  type JsonValue,
  type NodeOf,
  OmiumError,
  subworkflowKey,
  type WorkflowNode,
  workflowAgentId,
} from '@omium/schemas'
import {
  checkParameters,
  checkValue,
  compileExpression,
  evaluateCondition,
  fillTemplate,
  fillText,
  type ScopeName,
} from '@omium/workflow-language'
import { below, type Frame, keyed, type Surroundings } from './frame.ts'
import { callModel } from './model.ts'
import { withRetries } from './retries.ts'

/** What each type of node does. */
export const runNode = (node: WorkflowNode, id: string, frame: Frame, around: Surroundings): Promise<JsonValue> => {
  switch (node.type) {
    case 'agent':
      return callAgent(node, id, frame, around)
    case 'model':
      return callModel(node, id, frame, around)
    case 'approval':
      return approve(node, id, frame, around)
    case 'wait':
      return wait(node, id, frame, around)
    case 'sleep':
      return sleep(node, id, frame, around)
    case 'set':
      return record(id, frame, around, fillTemplate(node.value, frame.scope))
    case 'fail':
      throw new OmiumError('workflow_failed', textOf(fillText(node.message, frame.scope)))
    case 'switch':
      return choose(node, id, frame, around)
    case 'map':
      return map(node, id, frame, around)
    case 'parallel':
      return parallel(node, id, frame, around)
    case 'loop':
      return loop(node, id, frame, around)
    case 'workflow':
      return callWorkflow(node, id, frame, around)
  }
}

const textOf = (value: JsonValue): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** What was worked out from recorded results: a step, so that people see it. */
const record = (id: string, { key }: Frame, { ctx }: Surroundings, output: JsonValue): Promise<JsonValue> =>
  ctx.step(id, () => output, { retry: false, ...keyed(key) })

const callAgent = (node: NodeOf<'agent'>, id: string, frame: Frame, around: Surroundings): Promise<JsonValue> => {
  const input = fillTemplate(node.input ?? {}, frame.scope)
  const options = { ...node.options, ...(node.timeoutMs !== undefined && { timeoutMs: node.timeoutMs }) }
  return withRetries(node.retry, id, frame, around, () =>
    around.ctx.call(node.agent, input, { name: id, ...keyed(frame.key), options: options as never }),
  )
}

const callWorkflow = (node: NodeOf<'workflow'>, id: string, frame: Frame, around: Surroundings): Promise<JsonValue> => {
  const { workflow, version } = node
  const definition = version === undefined ? undefined : around.subworkflows[subworkflowKey(workflow, version)]
  if (version === undefined || !definition)
    throw new OmiumError('workflow_unknown', `the version does not contain workflow ${workflow}@${version ?? '?'}`)
  const parameters = checkParameters(definition.parameters, fillTemplate(node.parameters ?? {}, frame.scope))
  const input = { workflow, version, bundle: { definition, subworkflows: around.subworkflows }, parameters }
  const options = {
    ...(node.timeoutMs !== undefined && { timeoutMs: node.timeoutMs }),
    ...(definition.budgetMicroCredits !== undefined && { budgetMicroCredits: definition.budgetMicroCredits }),
  }
  return withRetries(node.retry, id, frame, around, () =>
    around.ctx.call(workflowAgentId, input, { name: id, ...keyed(frame.key), options }),
  )
}

const approve = async (
  node: NodeOf<'approval'>,
  id: string,
  { scope, key }: Frame,
  { ctx }: Surroundings,
): Promise<JsonValue> => {
  const title = textOf(fillText(node.ask, scope)).slice(0, 500)
  const answer = await ctx.approve(title, {
    name: id,
    ...keyed(key),
    ...(node.details !== undefined && { details: fillTemplate(node.details, scope) }),
    ...(node.timeoutMs !== undefined && { timeoutMs: node.timeoutMs }),
  })
  if (answer.approved || node.onRefusal === 'continue') return answer as JsonValue
  const why = answer.timedOut ? `nobody decided within ${node.timeoutMs} ms` : `refused by ${answer.by}`
  throw new OmiumError('approval_rejected', `${why}${answer.comment ? `: ${answer.comment}` : ''}`)
}

const wait = async (node: NodeOf<'wait'>, id: string, { key }: Frame, { ctx }: Surroundings): Promise<JsonValue> => {
  const payload = await ctx.waitFor(node.signal, {
    name: id,
    ...keyed(key),
    ...(node.timeoutMs !== undefined && { timeoutMs: node.timeoutMs }),
  })
  if (!node.schema) return payload
  const checked = checkValue(node.schema, payload)
  if ('value' in checked) return checked.value
  throw new OmiumError('input_invalid', `the signal "${node.signal}" does not fit: ${checked.problems.join('; ')}`)
}

const sleep = async (
  node: NodeOf<'sleep'>,
  id: string,
  { scope, key }: Frame,
  { ctx }: Surroundings,
): Promise<JsonValue> => {
  const durationMs = typeof node.durationMs === 'string' ? fillText(node.durationMs, scope) : node.durationMs
  if (typeof durationMs !== 'number' || !(durationMs >= 0))
    throw new OmiumError(
      'invalid_request',
      `durationMs gives ${JSON.stringify(durationMs)}, not a number of milliseconds`,
    )
  await ctx.sleep(Math.round(durationMs), { name: id, ...keyed(key) })
  return null
}

const choose = async (node: NodeOf<'switch'>, id: string, frame: Frame, around: Surroundings): Promise<JsonValue> => {
  const taken = node.cases.find(({ when }) => evaluateCondition(when, frame.scope))?.do ?? node.otherwise
  const output = taken ? await around.runBlock(taken, frame) : null
  return record(id, frame, around, output)
}

const map = async (node: NodeOf<'map'>, id: string, frame: Frame, around: Surroundings): Promise<JsonValue> => {
  const list = compileExpression(node.over, Object.keys(frame.scope) as ScopeName[]).evaluate(frame.scope)
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
      const scope = { ...frame.scope, item: list[index] ?? null, index }
      try {
        outputs[index] = await around.runBlock(node.do, { scope, key: below(frame.key, index) })
      } catch (error) {
        // nothing more is begun once the node has failed
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(node.concurrency, list.length) }, work))
  return record(id, frame, around, outputs)
}

const parallel = async (
  node: NodeOf<'parallel'>,
  id: string,
  frame: Frame,
  around: Surroundings,
): Promise<JsonValue> => {
  const branches = await Promise.all(
    Object.entries(node.branches).map(
      async ([name, block]) => [name, await around.runBlock(block, { ...frame, key: below(frame.key, name) })] as const,
    ),
  )
  return record(id, frame, around, Object.fromEntries(branches))
}

const loop = async (node: NodeOf<'loop'>, id: string, frame: Frame, around: Surroundings): Promise<JsonValue> => {
  let last = node.initial === undefined ? null : fillTemplate(node.initial, frame.scope)
  for (let iteration = 0; iteration < node.maxIterations; iteration++) {
    const scope = { ...frame.scope, iteration, last }
    last = await around.runBlock(node.do, { scope, key: below(frame.key, iteration) })
    if (node.until !== undefined && evaluateCondition(node.until, { ...frame.scope, iteration, last }))
      return record(id, frame, around, last)
  }
  if (node.until !== undefined && node.onLimit === 'fail')
    throw new OmiumError('workflow_failed', `\`${node.until}\` is still false after ${node.maxIterations} rounds`)
  return record(id, frame, around, last)
}
