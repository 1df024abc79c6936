import type { WorkflowProblem } from '@omium/schemas'
import { type JsonSchema, schemaProblem } from './json-schema.ts'
import { nearest } from './suggestions.ts'
import { type Known, misfits } from './types.ts'

/** What is wrong with a definition, as it is found. */
export class Problems {
  readonly found: WorkflowProblem[] = []

  add(
    pointer: string,
    code: WorkflowProblem['code'],
    message: string,
    expected?: string,
    suggestion?: string,
    severity: WorkflowProblem['severity'] = 'error',
  ): void {
    this.found.push({
      pointer,
      code,
      message,
      ...(expected !== undefined && { expected }),
      ...(suggestion !== undefined && { suggestion }),
      severity,
    })
  }

  /** A JSON Schema that cannot be used. */
  schema(pointer: string, schema: JsonSchema | undefined): void {
    const problem = schema && schemaProblem(schema)
    if (problem) this.add(pointer, 'schema', problem, 'a JSON Schema')
  }

  /** A value of which the type is known, where another type is expected. */
  fit(pointer: string, actual: Known, expected: Known): void {
    for (const misfit of misfits(actual, expected))
      this.add(`${pointer}${misfit.pointer}`, misfit.code, misfit.message, misfit.expected, misfit.suggestion)
  }
}

/** `did you mean "..."?`, when one of the known names is near. */
export const meant = (given: string, known: Iterable<string>): string | undefined => {
  const name = nearest(given, known)
  return name && `did you mean "${name}"?`
}
