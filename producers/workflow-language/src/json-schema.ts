import { type JsonValue, OmiumError } from '@omium/schemas'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { checkBounded } from './bounded-check.ts'
import { linearPatterns } from './patterns.ts'

/** JSON Schemas that definitions bring along: parameters, models' answers, signals. */

export type JsonSchema = Readonly<Record<string, JsonValue>>

const compiled = new Map<string, ValidateFunction>()
const mostCompiled = 500

const newAjv = (allErrors: boolean): Ajv2020 => {
  const ajv = new Ajv2020({
    allErrors,
    strict: false,
    useDefaults: true,
    validateFormats: true,
    code: { regExp: linearPatterns },
  })
  addFormats.default(ajv)
  return ajv
}
const shared = { all: newAjv(true), first: newAjv(false) }

/** @throws OmiumError `invalid_request` when the schema cannot be used */
const validatorOf = (schema: JsonSchema, text: string, allErrors: boolean): ValidateFunction => {
  const key = `${allErrors}${text}`
  const known = compiled.get(key)
  if (known) return known
  const { $schema: _, ...rest } = schema
  // a name in one schema must not mean another one's part: those with names have an instance of their own, which is slow to make
  const ajv = text.includes('"$id"') ? newAjv(allErrors) : shared[allErrors ? 'all' : 'first']
  let validate: ValidateFunction
  try {
    validate = ajv.compile(rest)
  } catch (cause) {
    throw new OmiumError('invalid_request', `the JSON Schema cannot be used: ${(cause as Error).message}`, { cause })
  } finally {
    ajv.removeSchema(rest)
  }
  compiled.set(key, validate)
  if (compiled.size > mostCompiled) compiled.delete(compiled.keys().next().value as string)
  return validate
}

/** What is wrong with a schema itself, undefined when it can be used. */
export const schemaProblem = (schema: JsonSchema): string | undefined => {
  try {
    validatorOf(schema, JSON.stringify(schema), true)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/**
 * Checks a value and fills in the schema's defaults.
 * @returns the value with defaults, or what is wrong, one text for each place
 */
export const checkValue = (
  schema: JsonSchema,
  value: JsonValue,
): { readonly value: JsonValue } | { readonly problems: readonly string[] } => {
  const copy = structuredClone(value)
  const text = JSON.stringify(schema)
  const errors = checkBounded((all) => validatorOf(schema, text, all), text, copy)
  if (!errors) return { value: copy }
  const problems = errors.slice(0, 20).map(({ instancePath, message, params }) => {
    const extra = (params as { additionalProperty?: string }).additionalProperty
    return `${instancePath || '/'}: ${message}${extra === undefined ? '' : ` (${extra})`}`
  })
  return { problems }
}

/**
 * The parameters of a run with the definition's defaults filled in.
 * @throws OmiumError `input_invalid`, naming each place
 */
export const checkParameters = (schema: JsonSchema | undefined, parameters: JsonValue): JsonValue => {
  if (parameters === null || typeof parameters !== 'object' || Array.isArray(parameters))
    throw new OmiumError('input_invalid', 'the parameters of a workflow are an object')
  if (!schema) return parameters
  const checked = checkValue(schema, parameters)
  if ('value' in checked) return checked.value
  throw new OmiumError('input_invalid', `the parameters do not fit the workflow: ${checked.problems.join('; ')}`)
}
