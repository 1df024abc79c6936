import {
  jsonValue,
  OmiumError,
  type WorkflowBundle,
  type WorkflowDefinition,
  workflowAgentId,
  workflowDefinition,
  workflowId,
} from '@omium/schemas'
import { agent } from '@omium/sdk'
import { checkParameters, checkValue } from '@omium/workflow-language'
import { z } from 'zod'
import { runBlock } from './block.ts'
import type { Frame, Surroundings } from './frame.ts'

/**
 * The agent that runs workflow definitions.
 *
 * 1. All that decides what happens next is in the input and in recorded results, so a new attempt gets to the same point.
 *    The definition is part of the input: a run keeps its version whatever is published meanwhile.
 * 2. Every node that does something is a step of the run, named by the node's id; inside a map or loop its key tells which
 *    round. What a node calls (agents, models, timers, approvals, signals) is the SDK's, with its guarantees.
 */
const input = z.object({
  workflow: workflowId,
  version: z.number().int().positive(),
  bundle: z.object({ definition: jsonValue, subworkflows: z.record(z.string(), jsonValue) }),
  parameters: jsonValue,
})

const definitionOf = (given: unknown, what: string): WorkflowDefinition => {
  const parsed = workflowDefinition.safeParse(given)
  if (parsed.success) return parsed.data
  // the gateway has checked it with the language of its own release
  throw new OmiumError(
    'workflow_invalid',
    `this worker cannot read ${what}; if it is older than the platform, update it and fork the run: ${z.prettifyError(parsed.error)}`,
  )
}

export const workflowAgent = agent({
  id: workflowAgentId,
  description: 'Runs workflow definitions',
  input,
  async run({ workflow, version, bundle, parameters }, ctx) {
    const definition = definitionOf(bundle.definition, `version ${version} of workflow ${workflow}`)
    const surroundings: Surroundings = {
      ctx,
      subworkflows: bundle.subworkflows as unknown as WorkflowBundle['subworkflows'],
      runBlock: (block, frame) => runBlock(block, frame, surroundings),
    }
    const frame: Frame = {
      scope: {
        parameters: checkParameters(definition.parameters, parameters),
        run: { id: ctx.executionId, workflow, version },
        nodes: {},
      },
      key: '',
    }
    const output = await runBlock(definition, frame, surroundings)
    if (!definition.outputSchema) return output
    const checked = checkValue(definition.outputSchema, output)
    if ('value' in checked) return output
    throw new OmiumError(
      'output_invalid',
      `the workflow's output does not fit its schema: ${checked.problems.join('; ')}`,
    )
  },
})
