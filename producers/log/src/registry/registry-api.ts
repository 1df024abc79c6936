import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import { createOutsideCalls } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import { z } from 'zod'

/**
 * What the codec needs of a Confluent-compatible schema registry: the stock client for schemas and ids, and two calls of
 * the HTTP API (docs.confluent.io, schema-registry/develop/api) that it has no method for: asking what is incompatible,
 * and setting a subject's level before its first version gets in, which the client would do only afterwards.
 */
export interface RegistryApi {
  /** the id of exactly this schema under the subject, undefined when it is not registered there */
  idOf(subject: string, schema: string): Promise<number | undefined>
  /** @throws OmiumError `schema_incompatible` when the subject's older versions forbid it */
  register(subject: string, schema: string): Promise<number>
  /** why the schema cannot follow the subject's versions; empty when it can */
  incompatibilities(subject: string, schema: string): Promise<readonly string[]>
  exists(schemaId: number): Promise<boolean>
}

const compatibility = COMPATIBILITY.BACKWARD_TRANSITIVE
/** how often a call is made, and how long an answer may take */
const patience = { attempts: 5, timeoutMs: 10_000 }

const compatibilityReply = z.object({ is_compatible: z.boolean(), messages: z.array(z.string()).optional() })

interface Reply {
  readonly status: number
  readonly body: unknown
}

const messageOf = (body: unknown): string =>
  typeof body === 'object' && body !== null && 'message' in body ? String(body.message) : JSON.stringify(body)

/**
 * The registry's answer inside what the stock client threw: it hides the 404 of a look-up behind a class of its own, and
 * gives a connection that failed the status 400.
 */
const statusOf = (error: unknown): number => {
  if (!(error instanceof Error)) return 0
  if (error.name === 'ConfluentSchemaRegistryError') return 404
  return 'status' in error ? Number(error.status) : 0
}

const isAnswer = (error: unknown): boolean => {
  const status = statusOf(error)
  return status > 400 && status < 500 && status !== 429
}

export const createRegistryApi = (registryUrl: string, { attempts, timeoutMs } = patience): RegistryApi => {
  const base = registryUrl.replace(/\/+$/, '')
  const client = new SchemaRegistry({
    host: base,
    clientId: 'omium',
    retry: { retries: 0 },
    // left alone it waits for an answer for ever
    middlewares: [() => ({ prepareRequest: async (next) => (await next()).enhance({ timeout: timeoutMs }) })],
  })

  const once = async (method: string, path: string, body?: unknown): Promise<Reply> => {
    const response = await fetch(`${base}${path}`, {
      method,
      signal: AbortSignal.timeout(timeoutMs),
      headers: { accept: 'application/json', 'content-type': 'application/vnd.schemaregistry.v1+json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    let parsed: unknown = text
    try {
      parsed = JSON.parse(text)
    } catch {
      // an error page; its text is in the message
    }
    return { status: response.status, body: parsed }
  }

  // every call is idempotent, so it is made again while the registry is starting, overloaded or silent
  const registry = createOutsideCalls({
    target: 'schema registry',
    timeoutMs,
    tries: attempts,
    // a process that starts asks for all its schemas at once, and is to wait as long as the tries last
    minimumCalls: 50,
    isFinal: isAnswer,
  })
  const patiently = async <T>(what: string, ask: () => Promise<T>): Promise<T> => {
    try {
      return await registry.call(ask)
    } catch (error) {
      if (isAnswer(error)) throw error
      const problem = error instanceof Error ? error.message : String(error)
      throw new OmiumError('unavailable', `the schema registry at ${base} does not answer ${what}: ${problem}`, {
        cause: error,
      })
    }
  }

  const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
    patiently(`${method} ${path}`, async () => {
      const reply = await once(method, path, body)
      if (reply.status >= 500 || reply.status === 429) throw new Error(`HTTP ${reply.status}: ${messageOf(reply.body)}`)
      return reply
    })

  const unexpected = (what: string, reply: Reply) =>
    new OmiumError(
      'unavailable',
      `the schema registry refused to ${what}: HTTP ${reply.status}: ${messageOf(reply.body)}`,
    )

  const asJson = (schema: string) => ({ type: SchemaType.JSON as const, schema })

  const incompatibilities = async (subject: string, schema: string): Promise<readonly string[]> => {
    const path = `/compatibility/subjects/${encodeURIComponent(subject)}/versions?verbose=true`
    const reply = await call('POST', path, { schemaType: SchemaType.JSON, schema })
    if (reply.status === 404) return [] // no versions yet
    if (reply.status !== 200) throw unexpected(`check ${subject}`, reply)
    const { is_compatible, messages } = compatibilityReply.parse(reply.body)
    return is_compatible ? [] : (messages ?? ['older versions cannot be read with it'])
  }

  return {
    incompatibilities,

    async idOf(subject, schema) {
      try {
        return await patiently(`the id of ${subject}`, () => client.getRegistryIdBySchema(subject, asJson(schema)))
      } catch (error) {
        if (statusOf(error) === 404) return undefined
        throw error
      }
    },

    async register(subject, schema) {
      const setLevel = () => call('PUT', `/config/${encodeURIComponent(subject)}`, { compatibility })
      // before registering, so that no version ever gets in unchecked; some registries know no level of an empty subject
      await setLevel()
      try {
        const { id } = await patiently(`registering ${subject}`, () =>
          client.register(asJson(schema), { subject, compatibility }),
        )
        return id
      } catch (error) {
        if (statusOf(error) !== 409) throw error
        throw new OmiumError(
          'schema_incompatible',
          `${subject}: this schema cannot read what older versions wrote; make the change compatible. ${error instanceof Error ? error.message : ''}`,
        )
      }
    },

    async exists(schemaId) {
      // the stock client would compile the schema, which nobody needs: the catalogue says what is valid
      const reply = await call('GET', `/schemas/ids/${schemaId}`)
      if (reply.status !== 200 && reply.status !== 404) throw unexpected(`give schema ${schemaId}`, reply)
      return reply.status === 200
    },
  }
}
