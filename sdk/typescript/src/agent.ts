import { type AgentDefinition, agentDefinition, OmiumError } from '@omium/schemas'
import { z } from 'zod'
import type { Agent, Context, RunOptions } from './context.ts'

export interface AgentSpec<Schema extends z.ZodType, Output> {
  /** 1 to 128 of `A-Z a-z 0-9 . _ -`; what clients start it by */
  id: string
  input: Schema
  description?: string
  /** options of a run whose start names none */
  defaults?: RunOptions
  /** cap on what one run and its children may spend on models, in millionths of a credit (1 credit = 1 USD) */
  budget?: { maxMicroCredits: number }
  /**
   * The workflow. Everything that is not deterministic (I/O, time, randomness) goes through `ctx`, so that a new attempt
   * replays to the same point.
   */
  run(input: z.output<Schema>, ctx: Context): Promise<Output>
}

const inputSchemaOf = (schema: z.ZodType): AgentDefinition['inputSchema'] =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as NonNullable<AgentDefinition['inputSchema']>

/** Lists what is wrong with a value, one line for each: `topic: Invalid input: expected string, received number`. */
export const issuesOf = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.map(String).join('.') || '(root)'}: ${issue.message}`).join('; ')

/**
 * Defines a durable agent.
 * @throws OmiumError `settings_invalid` when the id, description or defaults do not fit
 */
export const agent = <Schema extends z.ZodType, Output>(
  spec: AgentSpec<Schema, Output>,
): Agent<z.input<Schema>, Output> => {
  const budgetMicroCredits = spec.budget?.maxMicroCredits ?? spec.defaults?.budgetMicroCredits
  const defaults = { ...spec.defaults, ...(budgetMicroCredits !== undefined && { budgetMicroCredits }) }
  const definition = agentDefinition.safeParse({
    agentId: spec.id,
    ...(spec.description !== undefined && { description: spec.description }),
    inputSchema: inputSchemaOf(spec.input),
    ...(Object.keys(defaults).length > 0 && { defaults }),
    runtime: `node ${process.versions.node}`,
  })
  if (!definition.success)
    throw new OmiumError('settings_invalid', `agent ${JSON.stringify(spec.id)}: ${issuesOf(definition.error)}`)
  return {
    id: spec.id,
    definition: definition.data,
    budgetMicroCredits,
    async execute(input, ctx) {
      const parsed = await spec.input.safeParseAsync(input)
      if (!parsed.success)
        throw new OmiumError('input_invalid', `the input does not fit agent ${spec.id}: ${issuesOf(parsed.error)}`)
      return await spec.run(parsed.data, ctx)
    },
  }
}
