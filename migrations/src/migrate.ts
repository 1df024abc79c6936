import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { OmiumError } from '@omium/schemas'
import { Client } from 'pg'
import { ensureGatewayRole } from './gateway-role.ts'

/**
 * The one migration runner.
 *
 * 1. Files are applied in the order of their numbers, each in a transaction of its own together with its history row. One
 *    with a smaller number than some that are applied already, from a branch that landed later, is applied all the same.
 * 2. One process migrates at a time; others wait on an advisory lock, then find nothing left to do.
 * 3. An applied file never changes: its checksum is compared on every start.
 * 4. The gateways' role exists before the first file, and after the last one there are walls around every table with rows that
 *    belong to somebody (0024_walls.sql), also around those whose file did not think of it.
 */

export interface AppliedMigration {
  readonly version: number
  readonly name: string
}

interface MigrationFile extends AppliedMigration {
  readonly sql: string
  readonly checksum: string
}

const defaultFolder = new URL('../sql/', import.meta.url)
/** arbitrary, the same in every version of the runner */
const lockKey = 6_210_301

const readMigrations = async (folder: URL): Promise<MigrationFile[]> => {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  const files: MigrationFile[] = []
  for (const fileName of names) {
    const match = /^(\d{4})_([a-z0-9_]+)\.sql$/.exec(fileName)
    if (!match) throw new OmiumError('internal', `${fileName}: migrations are named 0001_what_it_does.sql`)
    const version = Number(match[1])
    if (version === files.at(-1)?.version) {
      throw new OmiumError('internal', `${fileName}: ${files.at(-1)?.name} has this number already`)
    }
    const sql = await readFile(new URL(fileName, folder), 'utf8')
    files.push({ version, name: fileName, sql, checksum: createHash('sha256').update(sql).digest('hex') })
  }
  return files
}

const verifyHistory = (files: readonly MigrationFile[], history: readonly { version: number; checksum: string }[]) => {
  for (const { version, checksum } of history) {
    const file = files.find((candidate) => candidate.version === version)
    if (!file) {
      throw new OmiumError(
        'internal',
        `the database has migration ${version}, which this release does not know: run a release at least as new`,
      )
    }
    if (file.checksum !== checksum) {
      throw new OmiumError('internal', `${file.name} changed after it was applied: restore it and add a new migration`)
    }
  }
}

export interface MigrateOptions {
  /** as whom the gateways come; absent: nobody can log in as their role yet */
  readonly gatewayDatabaseUrl?: string
  readonly folder?: URL
}

/** Around the live read models and everything else; schemas that are being rebuilt build their own. */
const buildWalls = `SELECT access.build_walls(name)
  FROM (SELECT projection FROM projection_versions WHERE live UNION SELECT 'public') AS walled (name)`

/**
 * Brings a database to the newest schema.
 * @returns the migrations that this call applied, none when it was current
 * @throws OmiumError `internal` when an applied file changed, is missing, or a statement fails (named in the detail)
 */
export const migrate = async (
  databaseUrl: string,
  { gatewayDatabaseUrl, folder = defaultFolder }: MigrateOptions = {},
): Promise<AppliedMigration[]> => {
  const files = await readMigrations(folder)
  const client = new Client({ connectionString: databaseUrl, application_name: 'omium-migrations' })
  await client.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [lockKey])
    await client.query(`CREATE TABLE IF NOT EXISTS schema_migrations (
      version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`)
    const { rows: history } = await client.query<{ version: number; checksum: string }>(
      'SELECT version, checksum FROM schema_migrations ORDER BY version',
    )
    verifyHistory(files, history)
    await ensureGatewayRole(client, gatewayDatabaseUrl)
    const applied: AppliedMigration[] = []
    const known = new Set(history.map(({ version }) => version))
    for (const { version, name, sql, checksum } of files) {
      if (known.has(version)) continue
      await client.query('BEGIN')
      try {
        await client.query(sql)
        await client.query('INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)', [
          version,
          name,
          checksum,
        ])
        await client.query('COMMIT')
      } catch (cause) {
        await client.query('ROLLBACK')
        throw new OmiumError('internal', `${name} failed: ${(cause as Error).message}`, { cause })
      }
      applied.push({ version, name })
    }
    if (folder === defaultFolder && applied.length > 0) await client.query(buildWalls)
    return applied
  } finally {
    // ending the session also frees the advisory lock
    await client.end()
  }
}
