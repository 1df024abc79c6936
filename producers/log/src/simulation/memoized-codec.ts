import type { RecordCodec } from '../contract.ts'
import type { RawRecord } from '../transport.ts'

/** All readers of a simulation share the stored records, so that each need be parsed only once. */
export const memoized = (codec: RecordCodec): RecordCodec => {
  const once = <T>(read: (record: RawRecord) => T): ((record: RawRecord) => T) => {
    const known = new WeakMap<RawRecord, { value: T }>()
    return (record) => {
      const found = known.get(record) ?? { value: read(record) }
      known.set(record, found)
      return found.value
    }
  }
  const decoded = new WeakMap<RawRecord, unknown>()
  return {
    ...codec,
    eventEnvelope: once((record) => codec.eventEnvelope(record)),
    commandEnvelope: once((record) => codec.commandEnvelope(record)),
    decode: (kind, type, schemaVersion, record) => {
      if (!decoded.has(record)) decoded.set(record, codec.decode(kind, type, schemaVersion, record))
      return decoded.get(record)
    },
  }
}
