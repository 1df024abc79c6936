import { OmiumError, readSettings } from '@omium/schemas'
import { migrate } from './migrate.ts'
import { seedTenant } from './seed-tenant.ts'

/** Migrates OMIUM_DATABASE_URL; with OMIUM_API_KEY (the local stack sets it) also makes the local tenant and its key. */
const localTenant = 'ten_local'

const say = (fields: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(fields)}\n`)

try {
  const { OMIUM_DATABASE_URL: databaseUrl } = readSettings(process.env, ['OMIUM_DATABASE_URL'])
  const applied = await migrate(databaseUrl)
  say({ msg: 'migrated', applied: applied.map(({ name }) => name) })
  const apiKey = process.env['OMIUM_API_KEY']
  if (apiKey) {
    const { keyId } = await seedTenant(databaseUrl, { tenant: localTenant, name: 'Local', apiKey })
    say({ msg: 'seeded', tenant: localTenant, keyId })
  }
} catch (error) {
  const { code, message } = error instanceof OmiumError ? error : { code: 'unavailable', message: String(error) }
  say({ msg: 'migration failed', code, detail: message })
  process.exitCode = 1
}
