import { createHmac } from 'node:crypto'

/**
 * The database as the gateways' role, for local stacks and specs. The role belongs to the server, which several stacks may share,
 * so its password follows from the one of the tables' owner, who may do more anyway.
 */
export const gatewayDatabaseUrl = (databaseUrl: string): string => {
  const url = new URL(databaseUrl)
  url.password = createHmac('sha256', decodeURIComponent(url.password)).update('omium_app').digest('hex')
  url.username = 'omium_app'
  return url.href
}
