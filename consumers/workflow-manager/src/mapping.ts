import { type JsonValue, OmiumError } from '@omium/schemas'
import { evaluateCondition, fillTemplate } from '@omium/workflow-language'
import type { Mapping } from './domain/trigger.ts'

const nesting = 1
/** an expression may look at each value for each value: so many of them take some ten milliseconds, while everyone waits */
const mostValues = 2_000
const mostExpressions = 200
/** what a run gets has to fit a record beside everything else */
const mostParameterBytes = 256 * 1024

/** Values in it, itself among them; counting ends past `most`. */
const countValues = (value: JsonValue, most: number): number => {
  let count = 0
  const rest: JsonValue[] = [value]
  for (let next = rest.pop(); next !== undefined && count <= most; next = rest.pop()) {
    count++
    if (next !== null && typeof next === 'object') for (const member of Object.values(next)) rest.push(member)
  }
  return count
}

/** What a trigger makes of an event: the parameters of a run, or why there is none. */
export const mapEvent: Mapping = (spec, event) => {
  try {
    const { source } = spec
    if (source.type === 'workflow') {
      const status = (event as { status?: string } | null)?.status
      if (!source.on.some((wanted) => wanted === status)) return { filtered: true }
    }
    const looksInside = spec.filter !== undefined || spec.parameters !== undefined
    if (looksInside && countValues(event, mostValues) > mostValues)
      return { failed: `the event has more than ${mostValues} values` }
    if (JSON.stringify(spec.parameters ?? null).split('${').length - 1 > mostExpressions)
      return { failed: `the trigger's parameters have more than ${mostExpressions} expressions` }
    if (spec.filter !== undefined && !evaluateCondition(spec.filter, { event }, nesting)) return { filtered: true }
    const parameters = spec.parameters === undefined ? event : fillTemplate(spec.parameters, { event }, nesting)
    const bytes = Buffer.byteLength(JSON.stringify(parameters))
    if (bytes > mostParameterBytes)
      return { failed: `the parameters have ${bytes} bytes, ${mostParameterBytes} are allowed` }
    return { parameters }
  } catch (error) {
    if (error instanceof OmiumError) return { failed: error.message }
    throw error
  }
}
