import { z } from 'zod'
import { executionOptions, retryPolicy } from '../execution/model.ts'
import { name } from '../ids.ts'
import { jsonValue } from '../json.ts'

/**
 * The workflow language. A definition is data: nodes that depend on each other, wired by expressions.
 *
 * - An *expression* is CEL (https://cel.dev): pure, without loops of its own, bounded in size. It sees `parameters`, `nodes`
 *   (`nodes.<id>.output`), `run`, in a map `item` and `index`, in a loop `iteration` and `last`.
 * - A *template* is any JSON in which strings may hold `${expression}`. A string that is one expression has its value,
 *   whatever its type; otherwise expressions are put into the text. `$${` is a literal `${`.
 * - A node waits for the nodes in `needs` and for those that its expressions mention. It is skipped when `when` is false, or
 *   when everything that it waits for was skipped; a skipped node's output is null.
 * - A block has nodes and an output; without `output` it gives what its only last node gave, or the last ones' outputs by id.
 */

/** Shorter than other ids, and without dots: a run's id carries it, see {@link workflowRunId}. */
export const workflowId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, 'use 1 to 63 of A-Z a-z 0-9 _ - and start with a letter or digit')
/** an identifier of the expression language, so that `nodes.<id>` can be written */
export const nodeId = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_]{0,62}$/, 'use 1 to 63 of A-Z a-z 0-9 _ and start with a letter')

export const expression = z.string().min(1).max(4096)
/** any JSON with `${expression}` in its strings */
const template = jsonValue
const jsonSchema = z.record(z.string(), jsonValue)
const timeoutMs = z
  .number()
  .int()
  .min(1)
  .max(366 * 86_400_000)

const nodeRetry = z.strictObject({
  maxAttempts: z.number().int().min(1).max(20),
  delayMs: z.number().int().min(0).max(86_400_000).default(1000),
  backoff: z.number().min(1).max(10).default(2),
})
export type NodeRetry = z.infer<typeof nodeRetry>

const common = {
  title: z.string().max(200).optional(),
  needs: z.array(nodeId).max(100).optional(),
  when: expression.optional(),
  /** what takes the output's place when the node fails; sees `error.code` and `error.detail`. Absent: the run fails */
  onError: z.strictObject({ output: template }).optional(),
}

export interface WorkflowBlock {
  nodes: Record<string, WorkflowNode>
  output?: z.infer<typeof jsonValue> | undefined
}

/** How deep blocks may nest is checked by the validation. */
const workflowBlock: z.ZodType<WorkflowBlock> = z.lazy(() =>
  z.strictObject({ nodes: z.record(nodeId, workflowNode), output: template.optional() }),
)

const agentNode = z.strictObject({
  type: z.literal('agent'),
  ...common,
  agent: name,
  input: template.optional(),
  options: executionOptions.pick({ priority: true, budgetMicroCredits: true }).partial().optional(),
  timeoutMs: timeoutMs.optional(),
  retry: nodeRetry.optional(),
  /** JSON Schema of what the agent gives, for the checks of those who use it */
  outputSchema: jsonSchema.optional(),
})

const modelMessage = z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: template })

const modelNode = z.strictObject({
  type: z.literal('model'),
  ...common,
  /** a template: `${parameters.model}` */
  model: z.string().min(1).max(500),
  system: template.optional(),
  prompt: template.optional(),
  /** instead of `system` and `prompt` */
  messages: z.array(modelMessage).min(1).max(200).optional(),
  temperature: z.number().min(0).max(2).optional(),
  maxTokens: z.number().int().positive().optional(),
  /** JSON Schema that the answer has to fit; the output is then the parsed answer, otherwise its text */
  schema: jsonSchema.optional(),
  /** how often an answer that does not fit is sent back with what is wrong with it */
  repairs: z.number().int().min(0).max(5).default(1),
  /** agents that the model may call */
  tools: z
    .array(
      z.strictObject({
        agent: name,
        name: z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/)
          .optional(),
        description: z.string().max(1024).optional(),
        /** JSON Schema of the arguments; the agent's own input schema unless given */
        parameters: jsonSchema.optional(),
      }),
    )
    .max(32)
    .optional(),
  /** completions at most, when there are tools */
  maxTurns: z.number().int().min(1).max(50).default(10),
  timeoutMs: timeoutMs.optional(),
  retry: nodeRetry.optional(),
})

const approvalNode = z.strictObject({
  type: z.literal('approval'),
  ...common,
  ask: z.string().min(1).max(2000),
  details: template.optional(),
  timeoutMs: timeoutMs.optional(),
  /** `fail`: a refusal, or silence until the time-out, fails the node; `continue`: it is an output like any other */
  onRefusal: z.enum(['fail', 'continue']).default('fail'),
})

const waitNode = z.strictObject({
  type: z.literal('wait'),
  ...common,
  signal: name,
  timeoutMs: timeoutMs.optional(),
  /** JSON Schema of the payload */
  schema: jsonSchema.optional(),
})

const sleepNode = z.strictObject({
  type: z.literal('sleep'),
  ...common,
  /** ms, or an expression in `${}` that gives them */
  durationMs: z.union([timeoutMs, z.string().min(1).max(4096)]),
})

const setNode = z.strictObject({ type: z.literal('set'), ...common, value: template })

const failNode = z.strictObject({ type: z.literal('fail'), ...common, message: z.string().min(1).max(4096) })

const switchNode = z.strictObject({
  type: z.literal('switch'),
  ...common,
  /** the first whose `when` is true is run */
  cases: z
    .array(z.strictObject({ when: expression, do: workflowBlock }))
    .min(1)
    .max(50),
  otherwise: workflowBlock.optional(),
})

const mapNode = z.strictObject({
  type: z.literal('map'),
  ...common,
  over: expression,
  concurrency: z.number().int().min(1).max(100).default(10),
  /** a longer list fails the node */
  maxItems: z.number().int().min(1).max(10_000).default(1000),
  do: workflowBlock,
})

const parallelNode = z.strictObject({
  type: z.literal('parallel'),
  ...common,
  branches: z.record(nodeId, workflowBlock),
})

const loopNode = z.strictObject({
  type: z.literal('loop'),
  ...common,
  do: workflowBlock,
  /** looked at after each round, with the round's output as `last` */
  until: expression.optional(),
  maxIterations: z.number().int().min(1).max(1000),
  /** what `last` is in the first round */
  initial: template.optional(),
  /** `fail`: the node fails when `until` is still false after the last round; otherwise its output stands */
  onLimit: z.enum(['fail', 'continue']).default('fail'),
})

const workflowCallNode = z.strictObject({
  type: z.literal('workflow'),
  ...common,
  workflow: workflowId,
  /** the newest published one when the version that calls it is created; it never changes afterwards */
  version: z.number().int().positive().optional(),
  parameters: template.optional(),
  timeoutMs: timeoutMs.optional(),
  retry: nodeRetry.optional(),
})

export type WorkflowNode =
  | z.infer<typeof agentNode>
  | z.infer<typeof modelNode>
  | z.infer<typeof approvalNode>
  | z.infer<typeof waitNode>
  | z.infer<typeof sleepNode>
  | z.infer<typeof setNode>
  | z.infer<typeof failNode>
  | z.infer<typeof switchNode>
  | z.infer<typeof mapNode>
  | z.infer<typeof parallelNode>
  | z.infer<typeof loopNode>
  | z.infer<typeof workflowCallNode>
export type NodeOf<T extends WorkflowNode['type']> = Extract<WorkflowNode, { type: T }>

const workflowNode: z.ZodType<WorkflowNode> = z.lazy(() =>
  z.discriminatedUnion('type', [
    agentNode,
    modelNode,
    approvalNode,
    waitNode,
    sleepNode,
    setNode,
    failNode,
    switchNode,
    mapNode,
    parallelNode,
    loopNode,
    workflowCallNode,
  ]),
)

export const nodeTypes = [
  'agent',
  'model',
  'approval',
  'wait',
  'sleep',
  'set',
  'fail',
  'switch',
  'map',
  'parallel',
  'loop',
  'workflow',
] as const

export const workflowDefinition = z.strictObject({
  name: z.string().min(1).max(200),
  description: z.string().max(4000).optional(),
  /** JSON Schema of the run's parameters, an object; defaults in it are filled in */
  parameters: jsonSchema.optional(),
  nodes: z.record(nodeId, workflowNode),
  output: template.optional(),
  /** JSON Schema of the output */
  outputSchema: jsonSchema.optional(),
  /** at most `limit` runs at once, of this workflow, or of the key that the template gives */
  concurrency: z
    .strictObject({ limit: z.number().int().min(1).max(100_000), key: z.string().min(1).max(500).optional() })
    .optional(),
  /** cap on what a run and its children may spend, in millionths of a credit */
  budgetMicroCredits: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  timeoutMs: timeoutMs.optional(),
  /** what happens when a run fails as a whole */
  retry: retryPolicy.optional(),
  /** failures of a run wait for the recovery orchestrator, which follows this policy */
  recovery: z.strictObject({ policy: name }).optional(),
})
export type WorkflowDefinition = z.infer<typeof workflowDefinition>

/**
 * What a version consists of: its definition and every workflow that it calls, directly or not, by `<id>@<version>`. It is
 * all that a run needs, and it never changes.
 */
export interface WorkflowBundle {
  readonly definition: WorkflowDefinition
  readonly subworkflows: Readonly<Record<string, WorkflowDefinition>>
}

export const subworkflowKey = (workflow: string, version: number): string => `${workflow}@${version}`

/** One thing that is wrong with a definition. `pointer` is a JSON pointer (RFC 6901) into it. */
export const workflowProblem = z.object({
  pointer: z.string(),
  code: z.enum([
    'schema',
    'unknown_agent',
    'unknown_model',
    'unknown_workflow',
    'unknown_node',
    'cycle',
    'unreachable',
    'missing_input',
    'type_mismatch',
    'expression',
    'limit',
    'cron',
  ]),
  message: z.string(),
  expected: z.string().optional(),
  suggestion: z.string().optional(),
  severity: z.enum(['error', 'warning']),
})
export type WorkflowProblem = z.infer<typeof workflowProblem>

/** Input of the agent that runs definitions: everything that a run needs, so that it keeps its version. */
export interface WorkflowRunInput {
  readonly workflow: string
  readonly version: number
  readonly bundle: WorkflowBundle
  readonly parameters: z.infer<typeof jsonValue>
}

/** The agent that runs definitions. */
export const workflowAgentId = 'omium.workflow'

const runIdPrefix = 'wf'

/** Id of a workflow's execution: says of which workflow it is, so that its end finds its way back. */
export const workflowRunId = (workflow: string, suffix: string): string => `${runIdPrefix}.${workflow}.${suffix}`

/** The workflow of an execution id, undefined when it is not a workflow's run. */
export const workflowOfRun = (executionId: string): string | undefined => {
  const [prefix, workflow, suffix] = executionId.split('.', 3)
  return prefix === runIdPrefix && workflow && suffix && workflowId.safeParse(workflow).success ? workflow : undefined
}
