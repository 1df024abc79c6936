import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type CaughtMail,
  eventually,
  freshDatabase,
  freshPrefix,
  freshSecrets,
  gatewayDatabaseUrl,
  newApiKey,
  spawnService,
  startMailCatcher,
  testStack,
} from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import { identityProjection } from '@omium/projection-identity'
import { createPool, openLog, runProjection } from '@omium/projection-kit'
import {
  checkpointContext,
  executionContext,
  identityContext,
  recoveryContext,
  webhookContext,
  workflowContext,
} from '@omium/schemas'
import { createSamlIdp } from '@omium/sign-in/testing'
import { pino } from 'pino'
import { readConfig } from '../../src/config.ts'
import { startGateway } from '../../src/gateway.ts'
import { startDnsServer } from './dns-server.ts'
import { startOpenIdIssuer } from './openid-issuer.ts'

const quiet = () => undefined

export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

/**
 * A whole gateway with the identity service, its read model, a DNS server, a mail server, an OpenID provider and a SAML identity
 * provider around it, all real. Domains are looked at again all the time, and lapse after a moment.
 */
export const startSsoWorld = async () => {
  const stack = testStack()
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  const dns = await startDnsServer()
  const folder = mkdtempSync(join(tmpdir(), 'omium-sso-'))
  const mails: CaughtMail[] = []
  const catcher = await startMailCatcher(await freePort(), join(folder, 'mail'), (mail) => mails.push(mail))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const apiKey = newApiKey()
  const env: Record<string, string> = {
    ...freshSecrets(),
    OMIUM_LOCAL_API_KEY: apiKey,
    OMIUM_KAFKA_BROKERS: stack.kafkaBrokers.join(','),
    OMIUM_SCHEMA_REGISTRY_URL: stack.registryUrl,
    OMIUM_TOPIC_PREFIX: freshPrefix(),
    OMIUM_PARTITIONS: '2',
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_GATEWAY_DATABASE_URL: gatewayDatabaseUrl(databaseUrl),
    OMIUM_S3_ENDPOINT: stack.s3.endpoint,
    OMIUM_S3_REGION: stack.s3.region,
    OMIUM_S3_BUCKET: stack.s3.bucket,
    OMIUM_S3_ACCESS_KEY_ID: stack.s3.accessKeyId,
    OMIUM_S3_SECRET_ACCESS_KEY: stack.s3.secretAccessKey,
    OMIUM_GATEWAY_PORT: String(port),
    OMIUM_IDENTITY_PORT: '0',
    OMIUM_URL: url,
    OMIUM_SMTP_URL: catcher.url,
    OMIUM_DNS_SERVERS: dns.address,
    OMIUM_DOMAIN_CHECK_MS: '200',
    OMIUM_DOMAIN_GRACE_MS: '1500',
    OMIUM_EGRESS_ALLOW: '127.0.0.0/8',
    OMIUM_EGRESS_HTTP: 'true',
    OMIUM_TRUSTED_PROXIES: '127.0.0.1',
  }
  const service = await spawnService('consumers/identity/src/main.ts', env)
  const definitions = {
    identity: identityContext,
    execution: executionContext,
    checkpoint: checkpointContext,
    recovery: recoveryContext,
    workflow: workflowContext,
    webhook: webhookContext,
  }
  const open = (name: keyof typeof definitions) => openLog(env, definitions[name], 'sso-spec', quiet)
  const logs = {
    identity: await open('identity'),
    execution: await open('execution'),
    checkpoint: await open('checkpoint'),
    recovery: await open('recovery'),
    workflow: await open('workflow'),
    webhook: await open('webhook'),
  }
  const pool = createPool(databaseUrl)
  const projection = await runProjection({
    definition: identityProjection,
    log: logs.identity,
    pool,
    databaseUrl,
    onNotice: quiet,
  })
  await service.waitForLine(/"msg":"ready"/, 120_000)
  const gateway = await startGateway(readConfig(env), logs, pino({ level: 'silent' }))
  const idp = await createSamlIdp('https://idp.corp.example')
  const issuers: { close(): Promise<void> }[] = []

  return {
    url,
    apiKey,
    dns,
    pool,
    idp,
    gateway,
    /** an OpenID provider that sends people back to these addresses */
    issuer: async (client: { id: string; secret: string; redirectUris: string[] }) => {
      const issuer = await startOpenIdIssuer(client)
      issuers.push(issuer)
      return issuer
    },
    call: async (method: string, path: string, body?: unknown, authorization = `Bearer ${apiKey}`) => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { authorization, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
      return { status: response.status, body: (text ? JSON.parse(text) : null) as any }
    },
    /** the link of the n-th mail to an address, once it has come */
    linkTo: (email: string, nth = 1): Promise<string> =>
      eventually(
        () => {
          const link = mails.filter(({ to }) => to === email)[nth - 1]?.link
          if (!link) throw new Error(`no mail to ${email} yet`)
          return link
        },
        { timeoutMs: 15_000 },
      ),
    close: async () => {
      await gateway.close()
      await projection.close()
      for (const log of Object.values(logs)) await log.close()
      await service.stop()
      await Promise.all([...issuers.map((issuer) => issuer.close()), catcher.close(), dns.close(), pool.end()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
