import type { JsonValue } from '@omium/schemas'

/** A definition to start from. Those of the gallery ask models only, so that each runs without any agent of one's own. */
export interface WorkflowTemplate {
  readonly id: string
  readonly name: string
  readonly description: string
  /** agents that have to be there */
  readonly agents: readonly string[]
  readonly definition: JsonValue
}

/** Which model a template asks, a parameter of each. */
export const modelParameter = { type: 'string', default: 'gpt-4o-mini', description: 'the model that is asked' }
export const model = '${parameters.model}'
