import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freshPrefix, testStack } from '@omium/dev/testing'
import { expect, test } from 'vitest'
import { createRegistryApi } from '../src/registry/registry-api.ts'

const golden = join(import.meta.dirname, '../../../schemas/golden')

/** type -> its schemas as they were committed, oldest version first, oldest revision first */
const histories = (): Map<string, string[]> => {
  const found = new Map<string, { version: number; schemas: string[] }[]>()
  for (const name of readdirSync(golden, { recursive: true, encoding: 'utf8' })) {
    const match = /^(.+)\.v(\d+)\.json$/.exec(name)
    if (!match) continue
    const revisions = JSON.parse(readFileSync(join(golden, name), 'utf8')) as unknown[]
    const versions = found.get(String(match[1])) ?? []
    versions.push({ version: Number(match[2]), schemas: revisions.map((revision) => JSON.stringify(revision)) })
    found.set(String(match[1]), versions)
  }
  return new Map(
    [...found].map(([type, versions]) => [
      type,
      versions.sort((a, b) => a.version - b.version).flatMap(({ schemas }) => schemas),
    ]),
  )
}

test('the registry accepts every committed schema after all older ones of its type', { timeout: 120_000 }, async () => {
  const api = createRegistryApi(testStack().registryUrl)
  const prefix = freshPrefix()
  const refused: string[] = []
  let checked = 0
  for (const [type, schemas] of histories()) {
    for (const schema of schemas) {
      const subject = `${prefix}.${type.replaceAll(/[\\/]/g, '-')}`
      checked++
      try {
        await api.register(subject, schema)
      } catch (error) {
        refused.push(`${type}: ${error instanceof Error ? error.message : String(error)}`)
        break
      }
    }
  }
  expect(refused).toEqual([])
  expect(checked).toBeGreaterThan(30)
})
