import type { JsonValue } from '@omium/schemas'

/** A definition to start from. Those of the gallery ask models only, so that each runs without any agent of one's own. */
export interface WorkflowTemplate {
  readonly id: string
  readonly name: string
  readonly description: string
  /** agents that have to be there */
  readonly agents: readonly string[]
  readonly definition: JsonValue
  /** parameters for a first run, that show what the workflow is good for */
  readonly example: JsonValue
}

/** Which model a template asks, a parameter of each. */
export const modelParameter = { type: 'string', default: 'gpt-4o-mini', description: 'the model that is asked' }
export const model = '${parameters.model}'

/** An object that has all of its properties, and no others unless told. */
export const object = (properties: { [name: string]: JsonValue }, required = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})

export const list = (items: JsonValue, more: { [keyword: string]: JsonValue } = {}) => ({
  type: 'array',
  items,
  ...more,
})
export const text = (description?: string) => ({ type: 'string', ...(description !== undefined && { description }) })
export const orNull = (type: string, more: { [keyword: string]: JsonValue } = {}) => ({ type: [type, 'null'], ...more })
