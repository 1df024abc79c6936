import { type AgentRecord, getAgent } from '@omium/projection-executions'
import type { Live, Reads } from '@omium/projection-kit'
import { type AgentDefinition, type JsonValue, OmiumError } from '@omium/schemas'
import { checkBounded, lenientPatterns } from '@omium/workflow-language'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

/** What can be started, and with which inputs. Definitions are kept in memory; the live tail tells when one changes. */
export interface Agents {
  /** @throws OmiumError `agent_unknown` */
  get(tenant: string, agent: string): Promise<AgentDefinition>
  /** @throws OmiumError `input_invalid`, naming each place that does not fit */
  checkInput(tenant: string, definition: AgentDefinition, input: JsonValue): void
}

const mostRemembered = 5_000
const mostSchemas = 500
/** deeper values overflow the stack of whoever walks them */
const deepest = 500

export const createAgents = (reads: Reads, live: Live): Agents => {
  const known = new Map<string, AgentDefinition>()
  const validators = new Map<string, ValidateFunction>()

  const remember = (tenant: string, definition: AgentDefinition) => {
    const key = `${tenant}/${definition.agentId}`
    known.delete(key)
    known.set(key, definition)
    if (known.size > mostRemembered) known.delete(known.keys().next().value as string)
  }
  live.onType('AgentRegistered', ({ envelope, data }) =>
    remember(envelope.tenant, (data as { definition: AgentDefinition }).definition),
  )

  const validatorOf = (schema: Record<string, JsonValue>, text: string, allErrors: boolean): ValidateFunction => {
    const key = `${allErrors}${text}`
    const compiled = validators.get(key)
    if (compiled) return compiled
    // one instance for each schema: an $id that two agents use must not collide
    const ajv = new Ajv2020({
      allErrors,
      strict: false,
      validateFormats: true,
      // the agent itself checks its input as well, in a process of its own
      code: { regExp: lenientPatterns },
    })
    addFormats.default(ajv)
    const { $schema: _, ...rest } = schema
    const validate = ajv.compile(rest)
    validators.set(key, validate)
    if (validators.size > mostSchemas) validators.delete(validators.keys().next().value as string)
    return validate
  }

  return {
    get: async (tenant, agent) => {
      const remembered = known.get(`${tenant}/${agent}`)
      if (remembered) return remembered
      const record: AgentRecord | undefined = await getAgent(reads, tenant, agent)
      if (!record) {
        throw new OmiumError(
          'agent_unknown',
          `no worker has registered an agent ${agent}: start a worker that offers it`,
        )
      }
      // while the row was read the live tail may have brought a newer one
      if (!known.has(`${tenant}/${agent}`)) remember(tenant, record.definition)
      return record.definition
    },
    checkInput: (_tenant, { agentId, inputSchema }, input) => {
      if (isDeeperThan(input, deepest)) {
        throw new OmiumError('input_invalid', `input: nested deeper than ${deepest} levels`)
      }
      if (!inputSchema) return
      const text = JSON.stringify(inputSchema)
      let errors: ReturnType<typeof checkBounded>
      try {
        errors = checkBounded((all) => validatorOf(inputSchema, text, all), text, input)
      } catch (cause) {
        if (cause instanceof OmiumError) throw cause
        throw new OmiumError(
          'input_invalid',
          `the input schema that agent ${agentId} registered cannot be used: ${(cause as Error).message}`,
          { cause },
        )
      }
      if (!errors) return
      const problems = errors
        .slice(0, 20)
        .map(({ instancePath, message }) => `input${instancePath.replaceAll('/', '.')}: ${message}`)
      throw new OmiumError('input_invalid', `the input does not fit agent ${agentId}: ${problems.join('; ')}`)
    },
  }
}

/** Without recursion, since the value may be as deep as the body is long. */
export const isDeeperThan = (value: JsonValue, limit: number): boolean => {
  let level: JsonValue[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return true
    const next: JsonValue[] = []
    for (const item of level) {
      if (item === null || typeof item !== 'object') continue
      for (const member of Array.isArray(item) ? item : Object.values(item)) {
        if (member !== null && typeof member === 'object') next.push(member)
      }
    }
    level = next
  }
  return false
}
