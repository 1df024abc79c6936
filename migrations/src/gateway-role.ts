import { OmiumError } from '@omium/schemas'
import { Client, DatabaseError, escapeLiteral } from 'pg'

/**
 * The role that the gateways have in the database. Rights and policies are granted to `omium_app`, which belongs to the server and
 * not to one database, as roles do; two installations on one server share it, and its password.
 */
export const gatewayRole = 'omium_app'

const invalidPassword = '28P01'
const noSuchRole = '28000'
const duplicate = ['42710', '23505']
/** two sessions changed the role at the same moment */
const concurrently = 'XX000'
const mostTries = 20

const canLogIn = async (url: string): Promise<boolean> => {
  const client = new Client({ connectionString: url, application_name: 'omium-migrations' })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return true
  } catch (error) {
    if (error instanceof DatabaseError && [invalidPassword, noSuchRole].includes(error.code ?? '')) return false
    throw error
  } finally {
    await client.end().catch(() => undefined)
  }
}

/**
 * Makes sure that the role is there and, when a URL is given, that it opens the database: it is made, or given the URL's password.
 * @throws OmiumError `settings_invalid` when this user of the database may not do that, and somebody else has to
 */
export const ensureGatewayRole = async (client: Client, gatewayDatabaseUrl: string | undefined): Promise<void> => {
  const run = async (sql: string): Promise<void> => {
    for (let tries = 1; ; tries++)
      try {
        await client.query(sql)
        return
      } catch (cause) {
        const { code } = cause as DatabaseError
        if (duplicate.includes(code ?? '')) return
        if (code === concurrently && tries < mostTries) continue
        throw new OmiumError(
          'settings_invalid',
          `the role ${gatewayRole}, as which the gateways read, is missing or has another password than OMIUM_GATEWAY_DATABASE_URL, and this user may not change that (${(cause as Error).message}). Ask an administrator: CREATE ROLE ${gatewayRole} LOGIN PASSWORD ...`,
          { cause },
        )
      }
  }
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [gatewayRole])
  if (rowCount === 0) await run(`CREATE ROLE ${gatewayRole} NOLOGIN`)
  if (gatewayDatabaseUrl === undefined || (await canLogIn(gatewayDatabaseUrl))) return
  const { username, password } = new URL(gatewayDatabaseUrl)
  if (decodeURIComponent(username) !== gatewayRole)
    throw new OmiumError(
      'settings_invalid',
      `OMIUM_GATEWAY_DATABASE_URL: ${username} cannot log in. Only ${gatewayRole} is made here; make another one a member of it`,
    )
  await run(`ALTER ROLE ${gatewayRole} LOGIN PASSWORD ${escapeLiteral(decodeURIComponent(password))}`)
}
