import {
  type CommandEnvelope,
  commandEnvelope,
  type EventEnvelope,
  eventEnvelope,
  OmiumError,
  type RecordCatalogue,
  upcast,
} from '@omium/schemas'
import type { RecordCodec } from './contract.ts'
import type { RawRecord } from './transport.ts'

const header = 'envelope'

/**
 * Plain JSON on the log, envelope in one header, no registry: for the simulation and for specs that need no registry.
 * @param catalogues the context's events and commands, to check and lift payloads
 */
export const createJsonCodec = (catalogues: {
  readonly events: RecordCatalogue
  readonly commands: RecordCatalogue
}): RecordCodec => {
  const encode = (envelope: CommandEnvelope | EventEnvelope, data: unknown): RawRecord => ({
    key: envelope.aggregate,
    headers: { [header]: JSON.stringify(envelope) },
    value: Buffer.from(JSON.stringify(data)),
  })
  const read = <E>(record: RawRecord, schema: { safeParse(value: unknown): { data?: E } }): E | undefined => {
    const text = record.headers[header]
    if (text === undefined) return undefined
    try {
      return schema.safeParse(JSON.parse(text)).data
    } catch {
      return undefined
    }
  }
  return {
    prepare: async () => undefined,
    encodeEvent: encode,
    encodeCommand: encode,
    eventEnvelope: (record) => read(record, eventEnvelope),
    commandEnvelope: (record) => read(record, commandEnvelope),
    learn: async () => undefined,
    decode: (kind, type, schemaVersion, record) => {
      const catalogue = kind === 'event' ? catalogues.events : catalogues.commands
      try {
        if (record.value === null) throw new TypeError('the record has no value')
        const data = upcast(catalogue, type, schemaVersion, JSON.parse(record.value.toString()))
        return catalogue[type]?.data.parse(data)
      } catch (cause) {
        throw new OmiumError('record_undecodable', `${kind} ${type} v${schemaVersion} cannot be decoded`, { cause })
      }
    },
  }
}
