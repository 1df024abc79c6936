import { z } from 'zod'

/**
 * How the catalogue defines a record type: its payload schema at the current version, and the upcasters that lift every
 * older version. Old records are never rewritten; they are lifted when read.
 */
export interface RecordDefinition<S extends z.ZodType = z.ZodType> {
  readonly version: number
  readonly data: S
  /** `upcasters[v]` turns a payload of version v into one of version v + 1 */
  readonly upcasters?: Readonly<Record<number, (old: unknown) => unknown>>
}

export type RecordCatalogue = Readonly<Record<string, RecordDefinition>>

/** The union of `{ type, data }` over a catalogue. */
export type RecordOf<C extends RecordCatalogue> = {
  [T in keyof C & string]: { type: T; data: z.infer<C[T]['data']> }
}[keyof C & string]

/** A context is one commands topic and one events topic, co-partitioned by aggregate key, with one owner. */
export interface ContextDefinition<
  C extends RecordCatalogue = RecordCatalogue,
  E extends RecordCatalogue = RecordCatalogue,
> {
  readonly name: string
  readonly commands: C
  readonly events: E
}

export const v1 = <S extends z.ZodType>(data: S): RecordDefinition<S> => ({ version: 1, data })

/**
 * Lifts a payload written at `schemaVersion` to the current version of its type.
 * @throws RangeError when the type is unknown, the version is from the future, or an upcaster is missing
 */
export const upcast = (catalogue: RecordCatalogue, type: string, schemaVersion: number, data: unknown): unknown => {
  const definition = catalogue[type]
  if (!definition) throw new RangeError(`the catalogue has no record type ${type}`)
  if (schemaVersion > definition.version) {
    throw new RangeError(`${type} v${schemaVersion} is newer than this reader, which knows v${definition.version}`)
  }
  let lifted = data
  for (let version = schemaVersion; version < definition.version; version++) {
    const step = definition.upcasters?.[version]
    if (!step) throw new RangeError(`${type} has no upcaster from v${version}`)
    lifted = step(lifted)
  }
  return lifted
}

/**
 * JSON Schema of a record type's payload, as registered in the schema registry. Draft 7, the newest that registries check
 * for compatibility. Objects are closed: only then is an added optional property backward compatible, because an open
 * object of the past may have carried anything under that name. Readers still ignore properties that they do not know.
 */
export const jsonSchemaOf = (definition: RecordDefinition): Record<string, unknown> =>
  z.toJSONSchema(definition.data, {
    target: 'draft-7',
    unrepresentable: 'any',
    io: 'input',
    override: ({ jsonSchema }) => {
      if (jsonSchema.type === 'object' && jsonSchema.properties) jsonSchema.additionalProperties ??= false
    },
  }) as Record<string, unknown>
