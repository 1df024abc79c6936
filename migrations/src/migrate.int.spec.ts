import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { freshDatabase, spawnService } from '@omium/dev/testing'
import { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import { migrate } from './migrate.ts'

const query = async (databaseUrl: string, sql: string) => {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

const folderOf = async (files: Record<string, string>) => {
  const folder = await mkdtemp(join(tmpdir(), 'omium-migrations-'))
  for (const [name, sql] of Object.entries(files)) await writeFile(join(folder, name), sql)
  return pathToFileURL(`${folder}/`)
}

describe('the migration runner', () => {
  it('applies each file once when five processes start together', async () => {
    const databaseUrl = await freshDatabase()
    const results = await Promise.all(Array.from({ length: 5 }, () => migrate(databaseUrl)))
    expect(results.filter((applied) => applied.length > 0)).toHaveLength(1)
    expect(await query(databaseUrl, 'SELECT version FROM schema_migrations ORDER BY version')).toEqual(
      results.flat().map(({ version }) => ({ version })),
    )
  })

  it('refuses a file that changed after it was applied', async () => {
    const databaseUrl = await freshDatabase()
    await migrate(databaseUrl, { folder: await folderOf({ '0001_a.sql': 'CREATE TABLE a (x int)' }) })
    const changed = await folderOf({
      '0001_a.sql': 'CREATE TABLE a (x bigint)',
      '0002_b.sql': 'CREATE TABLE b (x int)',
    })
    await expect(migrate(databaseUrl, { folder: changed })).rejects.toThrow(/0001_a.sql changed after it was applied/)
    expect(await query(databaseUrl, "SELECT to_regclass('b') AS b")).toEqual([{ b: null }])
  })

  it('undoes a file that fails and names it', async () => {
    const databaseUrl = await freshDatabase()
    const broken = await folderOf({
      '0001_a.sql': 'CREATE TABLE a (x int)',
      '0002_b.sql': 'CREATE TABLE b (x int); SELECT 1 / 0',
    })
    await expect(migrate(databaseUrl, { folder: broken })).rejects.toThrow(/0002_b.sql failed/)
    expect(await query(databaseUrl, "SELECT to_regclass('a') IS NOT NULL AS a, to_regclass('b') AS b")).toEqual([
      { a: true, b: null },
    ])
  })

  it('applies a file whose number lies before those that are applied already', async () => {
    const databaseUrl = await freshDatabase()
    const second = { '0002_b.sql': 'CREATE TABLE b (x int)' }
    await migrate(databaseUrl, { folder: await folderOf(second) })
    const both = await folderOf({ '0001_a.sql': 'CREATE TABLE a (x int)', ...second })
    expect(await migrate(databaseUrl, { folder: both })).toMatchObject([{ version: 1 }])
    expect(await migrate(databaseUrl, { folder: both })).toEqual([])
  })

  it('refuses a number that is taken and a database from a newer release', async () => {
    const databaseUrl = await freshDatabase()
    const twice = await folderOf({ '0001_a.sql': '', '0001_b.sql': '' })
    await expect(migrate(databaseUrl, { folder: twice })).rejects.toThrow(/has this number already/)
    await migrate(databaseUrl, { folder: await folderOf({ '0001_a.sql': 'SELECT 1', '0002_b.sql': 'SELECT 2' }) })
    await expect(migrate(databaseUrl, { folder: await folderOf({ '0001_a.sql': 'SELECT 1' }) })).rejects.toThrow(
      /has migration 2/,
    )
  })
})

it('says so in one line and ends with code 1 when the database cannot be reached', async () => {
  const runner = await spawnService('migrations/src/main.ts', {
    OMIUM_DATABASE_URL: 'postgres://127.0.0.1:1/none',
    OMIUM_GATEWAY_DATABASE_URL: 'postgres://127.0.0.1:1/none',
  })
  expect(await runner.exited).toMatchObject({ code: 1 })
  expect(runner.output()).toMatch(/migration failed/)
})
