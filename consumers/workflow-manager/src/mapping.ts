import { OmiumError } from '@omium/schemas'
import { evaluateCondition, fillTemplate } from '@omium/workflow-language'
import type { Mapping } from './domain/trigger.ts'

const nesting = 1

/** What a trigger makes of an event: the parameters of a run, or why there is none. */
export const mapEvent: Mapping = (spec, event) => {
  try {
    const { source } = spec
    if (source.type === 'workflow') {
      const status = (event as { status?: string } | null)?.status
      if (!source.on.some((wanted) => wanted === status)) return { filtered: true }
    }
    if (spec.filter !== undefined && !evaluateCondition(spec.filter, { event }, nesting)) return { filtered: true }
    const parameters = spec.parameters === undefined ? event : fillTemplate(spec.parameters, { event }, nesting)
    return { parameters }
  } catch (error) {
    if (error instanceof OmiumError) return { failed: error.message }
    throw error
  }
}
