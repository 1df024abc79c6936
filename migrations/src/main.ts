import { OmiumError, readSettings } from '@omium/schemas'
import { migrate } from './migrate.ts'

/** Migrates OMIUM_DATABASE_URL, and makes the role of OMIUM_GATEWAY_DATABASE_URL. */

const say = (fields: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(fields)}\n`)

try {
  const { OMIUM_DATABASE_URL: databaseUrl, OMIUM_GATEWAY_DATABASE_URL: gatewayDatabaseUrl } = readSettings(
    process.env,
    ['OMIUM_DATABASE_URL', 'OMIUM_GATEWAY_DATABASE_URL'],
  )
  const applied = await migrate(databaseUrl, { gatewayDatabaseUrl })
  say({ msg: 'migrated', applied: applied.map(({ name }) => name) })
} catch (error) {
  const { code, message } = error instanceof OmiumError ? error : { code: 'unavailable', message: String(error) }
  say({ msg: 'migration failed', code, detail: message })
  process.exitCode = 1
}
