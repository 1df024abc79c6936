import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createEndedSessions } from '@omium/access'
import { freePort } from '@omium/dev'
import {
  type CaughtMail,
  eventually,
  freshDatabase,
  gatewayDatabaseUrl,
  spawnService,
  stackSettings,
  startMailCatcher,
  testStack,
} from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import { createLocalKms, createPersonalData, createSubjectKeys } from '@omium/personal-data'
import { identityProjection } from '@omium/projection-identity'
import { createPool, createReads, openLog, runProjection } from '@omium/projection-kit'
import { identityContext } from '@omium/schemas'
import { type IdentityCommands, openSignIn } from '@omium/sign-in'
import Fastify, { type FastifyInstance } from 'fastify'
import { validatorCompiler } from 'fastify-type-provider-zod'
import { openGatewayContext } from '../../src/context.ts'
import { installProblems } from '../../src/problems.ts'
import { startGithubStandIn } from './github-stand-in.ts'
import { startOpenIdIssuer } from './openid-issuer.ts'

const quiet = () => undefined

export interface BenchOptions {
  readonly host?: '127.0.0.1' | 'localhost'
  /** the identity service mails what changes about who gets in */
  readonly notices?: boolean
}

/**
 * Sign-in with everything around it for real: the log, the identity service in a process of its own, its read model, an OpenID
 * provider, a mail server. Two gateways over one database; the second serves no HTTP.
 */
export const startBench = async ({ host = '127.0.0.1', notices = false }: BenchOptions = {}) => {
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  const masterKey = randomBytes(32)
  const mailPort = await freePort()
  const port = await freePort()
  const url = `http://${host}:${port}`
  const env: Record<string, string> = {
    ...stackSettings(),
    OMIUM_PARTITIONS: '2',
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_GATEWAY_DATABASE_URL: gatewayDatabaseUrl(databaseUrl),
    OMIUM_TOKEN_SECRET: randomBytes(32).toString('hex'),
    OMIUM_MASTER_KEYS: `m1:${masterKey.toString('base64')}`,
    OMIUM_URL: url,
    ...(notices && { OMIUM_SMTP_URL: `smtp://127.0.0.1:${mailPort}` }),
    OMIUM_OWNER_SESSION_TIMEOUT_MS: '3000',
    OMIUM_IDENTITY_PORT: '0',
    OMIUM_LOG_LEVEL: 'info',
  }
  const folder = mkdtempSync(join(tmpdir(), 'omium-sign-in-'))
  const mails: CaughtMail[] = []
  const openCatcher = () => startMailCatcher(mailPort, join(folder, 'mail'), (mail) => mails.push(mail))
  let catcher = await openCatcher()
  const client = { id: 'omium', secret: randomBytes(16).toString('hex') }
  const issuer = await startOpenIdIssuer({
    ...client,
    redirectUris: ['corp', 'other', 'untrusted'].map((id) => `${url}/auth/providers/${id}/callback`),
  })
  const github = await startGithubStandIn(client)
  const providersFile = join(folder, 'providers.json')
  const oidc = { kind: 'oidc', issuer: issuer.url, clientId: client.id, clientSecret: 'env:CLIENT_SECRET' }
  writeFileSync(
    providersFile,
    JSON.stringify({
      version: 1,
      providers: {
        corp: { ...oidc, trustedAddresses: 'verified' },
        other: { ...oidc, trustedAddresses: 'verified' },
        untrusted: { ...oidc, trustedAddresses: [] },
        github: {
          kind: 'github',
          clientId: client.id,
          clientSecret: 'env:CLIENT_SECRET',
          webUrl: github.url,
          apiUrl: github.url,
        },
      },
    }),
  )
  const spawnIdentity = () => spawnService('consumers/identity/src/main.ts', env)
  let service = await spawnIdentity()
  const log = await openLog(env, identityContext, 'sign-in-spec', quiet)
  const owner = createPool(databaseUrl)
  const pool = createPool(gatewayDatabaseUrl(databaseUrl))
  const projection = await runProjection({
    definition: identityProjection,
    log,
    pool: owner,
    databaseUrl,
    onNotice: quiet,
  })
  const context = await openGatewayContext({
    log,
    projection: 'identity',
    pool,
    databaseUrl,
    commandTimeoutMs: 30_000,
    readWaitMs: 15_000,
    onNotice: quiet,
  })
  await service.waitForLine(/"msg":"ready"/, 120_000)
  const { ids } = log.context
  /** how far the gateways' clocks are ahead of the log's */
  const clock = { aheadMs: 0 }
  const nowMs = () => log.context.nowMs() + clock.aheadMs
  const kms = createLocalKms([{ id: 'm1', key: masterKey }])
  const personalData = createPersonalData({ kms, keys: createSubjectKeys(pool), digestKey: randomBytes(32), nowMs })
  /** what a spec puts between sign-in and the log */
  const interference: { after: ((type: string) => void) | undefined } = { after: undefined }
  const identity: IdentityCommands = {
    execute: async (asker, aggregate, commandId, command) => {
      const decided = await context.execute(asker, aggregate, commandId, command)
      interference.after?.(command.type)
      return decided
    },
    untilCurrent: (aggregate) => context.untilCurrent(aggregate),
  }
  const options = {
    publicUrl: url,
    tokenSecret: env['OMIUM_TOKEN_SECRET'] as string,
    providersFile,
    smtpUrl: catcher.url,
    mailFrom: 'Omium <no-reply@omium.example>',
    returnTo: ['/app'],
    egress: { allow: ['127.0.0.0/8'], ports: [443], http: true },
    env: { CLIENT_SECRET: client.secret },
    pool,
    reads: createReads(pool),
    rights: { ended: createEndedSessions(), isFollowed: async () => true },
    kms,
    identity,
    personalData,
    redisUrl: testStack().redisUrl,
    redisPrefix: env['OMIUM_TOPIC_PREFIX'] as string,
    ids,
    nowMs,
    onNotice: quiet,
  }
  const gateways = await Promise.all([openSignIn(options), openSignIn(options)])
  const app = Fastify({ forceCloseConnections: true, trustProxy: true })
  app.setValidatorCompiler(validatorCompiler)
  installProblems(app as unknown as FastifyInstance)
  await app.register(gateways[0].routes)
  await app.listen({ host: '127.0.0.1', port })

  return {
    url,
    pool: owner,
    issuer,
    github,
    mails,
    interference,
    clock,
    identity,
    gateways,
    /** the mail server of the installation */
    mailServer: {
      leave: () => catcher.close(),
      comeBack: async () => {
        catcher = await openCatcher()
      },
    },
    /** the link of the n-th mail to an address, once it has come */
    linkTo: (email: string, nth = 1): Promise<string> =>
      eventually(
        () => {
          const link = mails.filter(({ to, link }) => to === email && link?.includes('/auth/magic-links/'))[nth - 1]
            ?.link
          if (!link) throw new Error(`no mail to ${email} yet`)
          return link
        },
        { timeoutMs: 30_000 },
      ),
    /** the identity service ends as if its machine had lost power, and another one takes over */
    replaceIdentity: async () => {
      await service.kill('SIGKILL')
      service = await spawnIdentity()
      await service.waitForLine(/"msg":"ready"/, 120_000)
    },
    close: async () => {
      await app.close()
      for (const gateway of gateways) gateway.close()
      await context.close()
      await projection.close()
      await log.close()
      await service.stop()
      await Promise.all([issuer.close(), github.close(), catcher.close(), pool.end(), owner.end()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
