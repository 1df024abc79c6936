import { OmiumError } from '@omium/schemas'
import { z } from 'zod'

/**
 * The four calls of the Confluent Schema Registry API that the codec needs (docs.confluent.io, schema-registry/develop/api).
 * Spoken directly: the stock client sets a subject's compatibility only after it registered, refuses a subject whose
 * level differs, and compiles every schema with a JSON Schema draft older than ours.
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

const compatibility = 'BACKWARD_TRANSITIVE'
const attempts = 5
const timeoutMs = 10_000

const idReply = z.object({ id: z.number().int().nonnegative() })
const compatibilityReply = z.object({ is_compatible: z.boolean(), messages: z.array(z.string()).optional() })

interface Reply {
  readonly status: number
  readonly body: unknown
}

const messageOf = (body: unknown): string =>
  typeof body === 'object' && body !== null && 'message' in body ? String(body.message) : JSON.stringify(body)

export const createRegistryApi = (registryUrl: string): RegistryApi => {
  const base = registryUrl.replace(/\/+$/, '')

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

  /** Every call is idempotent, so it is made again while the registry is starting or overloaded. */
  const call = async (method: string, path: string, body?: unknown): Promise<Reply> => {
    for (let attempt = 1; ; attempt++) {
      let problem: string
      let cause: unknown
      try {
        const reply = await once(method, path, body)
        if (reply.status < 500 && reply.status !== 429) return reply
        problem = `HTTP ${reply.status}: ${messageOf(reply.body)}`
      } catch (error) {
        cause = error
        problem = error instanceof Error ? error.message : String(error)
      }
      if (attempt >= attempts) {
        throw new OmiumError(
          'unavailable',
          `the schema registry at ${base} does not answer ${method} ${path}: ${problem}`,
          {
            cause,
          },
        )
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 50 * 2 ** attempt)
      })
    }
  }

  const unexpected = (what: string, reply: Reply) =>
    new OmiumError(
      'unavailable',
      `the schema registry refused to ${what}: HTTP ${reply.status}: ${messageOf(reply.body)}`,
    )

  const subjectPath = (subject: string) => `/subjects/${encodeURIComponent(subject)}`
  const schemaBody = (schema: string) => ({ schemaType: 'JSON', schema })

  const incompatibilities = async (subject: string, schema: string): Promise<readonly string[]> => {
    const path = `/compatibility/subjects/${encodeURIComponent(subject)}/versions?verbose=true`
    const reply = await call('POST', path, schemaBody(schema))
    if (reply.status === 404) return [] // no versions yet
    if (reply.status !== 200) throw unexpected(`check ${subject}`, reply)
    const { is_compatible, messages } = compatibilityReply.parse(reply.body)
    return is_compatible ? [] : (messages ?? ['older versions cannot be read with it'])
  }

  return {
    incompatibilities,

    async idOf(subject, schema) {
      const reply = await call('POST', subjectPath(subject), schemaBody(schema))
      if (reply.status === 404) return undefined
      if (reply.status !== 200) throw unexpected(`look up ${subject}`, reply)
      return idReply.parse(reply.body).id
    },

    async register(subject, schema) {
      const setLevel = () => call('PUT', `/config/${encodeURIComponent(subject)}`, { compatibility })
      // before registering, so that no version ever gets in unchecked; some registries know no level of an empty subject
      const early = await setLevel()
      const reply = await call('POST', `${subjectPath(subject)}/versions`, schemaBody(schema))
      if (reply.status === 409) {
        throw new OmiumError(
          'schema_incompatible',
          `${subject}: this schema cannot read what older versions wrote; make the change compatible. ${messageOf(reply.body)}`,
        )
      }
      if (reply.status !== 200) throw unexpected(`register ${subject}`, reply)
      if (early.status !== 200) {
        const late = await setLevel()
        if (late.status !== 200) throw unexpected(`set the compatibility of ${subject}`, late)
      }
      return idReply.parse(reply.body).id
    },

    async exists(schemaId) {
      const reply = await call('GET', `/schemas/ids/${schemaId}`)
      if (reply.status === 404) return false
      if (reply.status !== 200) throw unexpected(`look up schema ${schemaId}`, reply)
      return true
    },
  }
}
