import {
  type CommandEnvelope,
  type ContextDefinition,
  commandsTopic,
  type EventEnvelope,
  eventsTopic,
  jsonSchemaOf,
  OmiumError,
  type RecordCatalogue,
  type RecordDefinition,
  subjectOf,
  upcast,
} from '@omium/schemas'
import type { RecordCodec, RecordKind } from '../contract.ts'
import type { Notice } from '../kafka/connection.ts'
import type { RawRecord } from '../transport.ts'
import { commandEnvelopeOf, eventEnvelopeOf, headersOf } from './envelope-headers.ts'
import { frame, frameHeader, jsonOf, schemaIdOf } from './framing.ts'
import { createRegistryApi, type RegistryApi } from './registry-api.ts'

/**
 * Records in Confluent framing, with schemas from the catalogue in a schema registry.
 *
 * 1. `encode*` and `decode` are synchronous and never ask the registry: `prepare` and `learn` did before. Each process asks
 *    only for what it encodes, and learns what it meets: a look-up is a request, and starting is a matter of seconds.
 * 2. A record is decoded only if the registry knows its schema id, and its payload fits the catalogue once lifted.
 * 3. A registry that is away stops nothing that uses known schemas; a new id waits in `learn` (`unavailable`).
 */

export interface RegistryCodecOptions {
  /** base URL of the Confluent-compatible API */
  readonly registryUrl: string
  /** what the names of subjects begin with, as those of topics do with the topic prefix */
  readonly subjectPrefix: string
  readonly onNotice?: (notice: Notice) => void
  /** tests replace it */
  readonly api?: RegistryApi
}

interface Prepared {
  readonly definition: RecordDefinition
  /** absent until its schema is registered */
  readonly header?: Buffer
}

const registrationsAtOnce = 6
/** ids that the registry did not know: garbage names arbitrary ids, so they are few and forgotten in order */
const unknownIdsKept = 1000

const issuesOf = (issues: readonly { path: readonly PropertyKey[]; message: string }[]): string =>
  issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || 'payload'}: ${issue.message}`)
    .join('; ')

export const createRegistryCodec = (options: RegistryCodecOptions): RecordCodec => {
  const api = options.api ?? createRegistryApi(options.registryUrl)
  const catalogues: Record<RecordKind, Map<string, Prepared>> = { event: new Map(), command: new Map() }
  const known = new Set<number>()
  const unknown = new Set<number>()

  const take = (kind: RecordKind, type: string, definition: RecordDefinition): void => {
    const already = catalogues[kind].get(type)
    if (!already) catalogues[kind].set(type, { definition })
    else if (already.definition !== definition) {
      throw new OmiumError('internal', `two contexts define the ${kind} ${type} differently`)
    }
  }

  const register = async (kind: RecordKind, topic: string, type: string, definition: RecordDefinition) => {
    if (catalogues[kind].get(type)?.header) return
    const subject = subjectOf(topic, type)
    const schema = JSON.stringify(jsonSchemaOf(definition))
    let id = await api.idOf(subject, schema)
    if (id === undefined) {
      id = await api.register(subject, schema)
      options.onNotice?.({
        level: 'info',
        message: `registered the schema of ${type} v${definition.version}`,
        fields: { subject, id },
      })
    }
    known.add(id)
    catalogues[kind].set(type, { definition, header: frameHeader(id) })
  }

  const headerOf = (kind: RecordKind, type: string): Buffer => {
    const header = catalogues[kind].get(type)?.header
    if (!header) throw new OmiumError('internal', `the ${kind} ${type} was not prepared to be encoded`)
    return header
  }

  const encode = (kind: RecordKind, envelope: CommandEnvelope | EventEnvelope, data: unknown): RawRecord => ({
    key: envelope.aggregate,
    headers: headersOf(envelope),
    value: frame(headerOf(kind, envelope.type), JSON.stringify(data)),
  })

  const learnId = async (id: number): Promise<void> => {
    if (await api.exists(id)) {
      known.add(id)
      return
    }
    unknown.add(id)
    if (unknown.size > unknownIdsKept)
      for (const oldest of [...unknown].slice(0, unknownIdsKept / 2)) unknown.delete(oldest)
    options.onNotice?.({ level: 'warn', message: `the registry knows no schema ${id}`, fields: { id } })
  }

  return {
    async prepare(context: ContextDefinition, encoded: readonly RecordKind[]) {
      const topics: [RecordKind, string, RecordCatalogue][] = [
        ['event', eventsTopic(options.subjectPrefix, context.name), context.events],
        ['command', commandsTopic(options.subjectPrefix, context.name), context.commands],
      ]
      for (const [kind, , catalogue] of topics) {
        for (const [type, definition] of Object.entries(catalogue)) take(kind, type, definition)
      }
      const work = topics
        .filter(([kind]) => encoded.includes(kind))
        .flatMap(([kind, topic, catalogue]) =>
          Object.entries(catalogue).map(
            ([type, definition]) =>
              () =>
                register(kind, topic, type, definition),
          ),
        )
      const worker = async () => {
        for (let next = work.shift(); next; next = work.shift()) await next()
      }
      const outcomes = await Promise.allSettled(Array.from({ length: registrationsAtOnce }, worker))
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    },

    encodeEvent: (envelope, data) => encode('event', envelope, data),
    encodeCommand: (envelope, data) => encode('command', envelope, data),
    eventEnvelope: eventEnvelopeOf,
    commandEnvelope: commandEnvelopeOf,

    async learn(records) {
      let fresh: Set<number> | undefined
      for (const { value } of records) {
        const id = schemaIdOf(value)
        if (id === undefined || known.has(id) || unknown.has(id)) continue
        fresh ??= new Set()
        fresh.add(id)
      }
      if (fresh) await Promise.all([...fresh].map(learnId))
    },

    decode(kind, type, schemaVersion, { value }) {
      const undecodable = (why: string, cause?: unknown) =>
        new OmiumError('record_undecodable', `${kind} ${type} v${schemaVersion}: ${why}`, { cause })
      const id = schemaIdOf(value)
      if (id === undefined || value === null) throw undecodable('the value is not in Confluent framing')
      if (!known.has(id)) {
        throw undecodable(unknown.has(id) ? `the registry knows no schema ${id}` : `schema ${id} was not learned`)
      }
      const definition = catalogues[kind].get(type)?.definition
      if (!definition) throw undecodable('the catalogue has no such type')
      let data: unknown
      try {
        data = JSON.parse(jsonOf(value))
        if (schemaVersion !== definition.version) data = upcast({ [type]: definition }, type, schemaVersion, data)
      } catch (error) {
        throw undecodable(error instanceof Error ? error.message : String(error), error)
      }
      const result = definition.data.safeParse(data)
      if (!result.success) throw undecodable(issuesOf(result.error.issues))
      return result.data
    },
  }
}
