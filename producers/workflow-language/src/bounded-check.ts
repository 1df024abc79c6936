import { createContext, Script } from 'node:vm'
import { type JsonValue, OmiumError } from '@omium/schemas'
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js'

/**
 * Values against JSON Schemas that strangers bring along, in bounded time and memory: a schema can ask for work that grows with the
 * power of its references or the square of a list, and a value can be wrong in millions of places.
 *
 * 1. What is small is checked as it is, and everything wrong with it is told: nearly all there is.
 * 2. Whatever could be more is stopped after a second; of a large value only the first thing that is wrong is told.
 * 3. A schema that took as long as that is not tried on such values again for a while: one request after the other would hold the
 *    process as well.
 */
const longestMs = 1_000
/** for saying what else is wrong: as much as that fills memory with */
const longestForAllMs = 50
const restMs = 30_000
const mostResting = 500
/** characters of the schema times members of the value */
const smallWork = 5_000_000
const costly = /"(?:\$ref|\$dynamicRef|\$recursiveRef|uniqueItems|unevaluatedProperties|unevaluatedItems)"/

const box: { check: () => void } = { check: () => undefined }
const context = createContext(box)
const script = new Script('check()')
/** schemas that took too long, and until when they rest, ms of performance.now */
const resting = new Map<string, number>()

const tooLong = () =>
  new OmiumError('input_invalid', `checking it against its schema takes longer than ${longestMs} ms`)

/**
 * @param compile the schema, to tell all errors or the first
 * @param schemaText the schema as JSON
 * @returns what is wrong, undefined when it fits
 * @throws OmiumError `input_invalid` when that cannot be said within the time; what `compile` throws
 */
export const checkBounded = (
  compile: (allErrors: boolean) => ValidateFunction,
  schemaText: string,
  value: JsonValue,
): readonly ErrorObject[] | undefined => {
  const isSmall = !hasMoreMembersThan(value, smallWork / schemaText.length)
  if (isSmall && !costly.test(schemaText)) return errorsOf(compile(true), value)
  if ((resting.get(schemaText) ?? 0) > performance.now()) throw tooLong()
  const first = within(longestMs, compile(false), value)
  if (first === 'late') {
    resting.set(schemaText, performance.now() + restMs)
    if (resting.size > mostResting) resting.delete(resting.keys().next().value as string)
    throw tooLong()
  }
  if (!first || !isSmall) return first
  const all = within(longestForAllMs, compile(true), value)
  return all === 'late' ? first : all
}

const errorsOf = (validate: ValidateFunction, value: JsonValue): readonly ErrorObject[] | undefined =>
  validate(value) ? undefined : (validate.errors ?? [])

const within = (
  timeoutMs: number,
  validate: ValidateFunction,
  value: JsonValue,
): readonly ErrorObject[] | undefined | 'late' => {
  let errors: readonly ErrorObject[] | undefined
  box.check = () => {
    errors = errorsOf(validate, value)
  }
  try {
    script.runInContext(context, { timeout: timeoutMs })
    return errors
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return 'late'
    throw error
  } finally {
    box.check = () => undefined
  }
}

/** Without recursion, since the value may be as deep as the body is long. */
const hasMoreMembersThan = (value: JsonValue, limit: number): boolean => {
  const waiting: JsonValue[] = [value]
  let members = 0
  for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
    if (item === null || typeof item !== 'object') continue
    const inside = Array.isArray(item) ? item : Object.values(item)
    members += inside.length
    if (members > limit) return true
    for (const member of inside) if (member !== null && typeof member === 'object') waiting.push(member)
  }
  return false
}
