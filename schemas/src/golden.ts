import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jsonSchemaOf, type RecordDefinition } from './catalogue.ts'
import { contexts } from './contexts.ts'

/**
 * The committed JSON Schemas of every event and command, one file for each version of each type. A file is a list of
 * revisions, oldest first, and is only ever appended to: a compatible change of a version adds one, and the registry is
 * asked in CI whether each revision can follow those before it.
 */
const folder = join(import.meta.dirname, '..', 'golden')

type Schema = Record<string, unknown>

export interface GoldenRecord {
  readonly context: string
  readonly kind: 'commands' | 'events'
  readonly type: string
  readonly definition: RecordDefinition
}

export const goldenRecords = (): GoldenRecord[] =>
  contexts.flatMap((context) =>
    (['commands', 'events'] as const).flatMap((kind) =>
      Object.entries(context[kind]).map(([type, definition]) => ({ context: context.name, kind, type, definition })),
    ),
  )

const fileOf = ({ context, kind, type }: GoldenRecord, version: number): string =>
  join(folder, `${context}.${kind}`, `${type}.v${version}.json`)

/** The revisions of one version, oldest first; empty when nothing was committed. */
export const goldenRevisions = (record: GoldenRecord, version: number): Schema[] => {
  const file = fileOf(record, version)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Schema[]) : []
}

export const currentSchema = ({ definition }: GoldenRecord): Schema =>
  JSON.parse(JSON.stringify(jsonSchemaOf(definition))) as Schema

/** What is wrong between the catalogue and the committed files, one line each, with what to do. */
export const goldenProblems = (): string[] => {
  const problems: string[] = []
  const expected = new Set<string>()
  for (const record of goldenRecords()) {
    const { context, kind, type, definition } = record
    const name = `${context}.${kind}/${type}`
    for (let version = 1; version <= definition.version; version++) {
      expected.add(fileOf(record, version))
      const newest = goldenRevisions(record, version).at(-1)
      if (newest === undefined && version < definition.version) {
        problems.push(
          `${name} v${version} was removed from schemas/golden: old records still have it, restore the file`,
        )
      } else if (newest === undefined) {
        problems.push(`${name} v${version} is new: run \`npm run schemas:accept\` and commit the file`)
      } else if (version === definition.version && JSON.stringify(newest) !== JSON.stringify(currentSchema(record))) {
        problems.push(
          `${name} v${version} changed. If old records still fit (an optional property was added, a limit was widened): run \`npm run schemas:accept\` and commit. Otherwise undo it, give it a new version and write an upcaster`,
        )
      }
    }
  }
  const committed = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : []
  for (const name of committed) {
    if (!name.endsWith('.json') || expected.has(join(folder, name))) continue
    problems.push(
      `schemas/golden/${name} belongs to no type of the catalogue: a type that was ever written stays in it`,
    )
  }
  return problems
}

/** Appends the current schemas where they differ; returns the files written. */
export const acceptSchemas = (): string[] => {
  const written: string[] = []
  for (const record of goldenRecords()) {
    const revisions = goldenRevisions(record, record.definition.version)
    const current = currentSchema(record)
    if (JSON.stringify(revisions.at(-1)) === JSON.stringify(current)) continue
    const file = fileOf(record, record.definition.version)
    mkdirSync(join(folder, `${record.context}.${record.kind}`), { recursive: true })
    writeFileSync(file, `${JSON.stringify([...revisions, current], null, 2)}\n`)
    written.push(file)
  }
  return written
}
