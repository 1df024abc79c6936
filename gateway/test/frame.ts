import { freshDatabase, freshSecrets, gatewayDatabaseUrl, stackSettings } from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import { createPool, type ProjectionDefinition, runProjection } from '@omium/projection-kit'
import { type Logger, pino } from 'pino'
import { type Config, readConfig } from '../src/config.ts'
import { startGateway } from '../src/gateway.ts'
import { type GatewayLogs, openGatewayLogs } from '../src/logs.ts'
import type { Limits } from '../src/services.ts'

const quiet = () => undefined

export type ConfigChanges = Partial<Omit<Config, 'limits'>> & { readonly limits?: Partial<Limits> }
type GatewayParts = Parameters<typeof startGateway>[3] & {
  readonly logger?: Logger
  /** logs that behave otherwise */
  readonly through?: Partial<GatewayLogs>
}

/**
 * What a gateway stands on, for one spec file: the run's services with a database, topics and secrets of its own, and the logs of
 * all contexts. What is opened on it goes with it, the latest first.
 * @param more settings beside those of every frame, or in place of them
 */
export const openFrame = async (more: Readonly<Record<string, string>> = {}) => {
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  const env: Record<string, string> = {
    ...freshSecrets(),
    ...stackSettings(),
    OMIUM_PARTITIONS: '2',
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_GATEWAY_PORT: '0',
    ...more,
  }
  env['OMIUM_GATEWAY_DATABASE_URL'] = gatewayDatabaseUrl(databaseUrl)
  const closers: (() => Promise<unknown>)[] = []
  const adopt = <T>(thing: T, close: (thing: T) => Promise<unknown>): T => {
    closers.push(() => close(thing))
    return thing
  }
  const pool = adopt(createPool(databaseUrl), (one) => one.end())
  const { logs } = adopt(await openGatewayLogs(env, 'gateway-spec', quiet), (one) => one.close())

  return {
    env,
    databaseUrl,
    pool,
    logs,
    /** has something closed with the frame */
    adopt,
    /** keeps a read model up to date */
    project: async (definition: ProjectionDefinition, log: keyof GatewayLogs) =>
      adopt(await runProjection({ definition, log: logs[log], pool, databaseUrl, onNotice: quiet }), (one) =>
        one.close(),
      ),
    startGateway: async (
      { limits, ...changes }: ConfigChanges = {},
      { logger = pino({ level: 'silent' }), through, ...parts }: GatewayParts = {},
    ) => {
      const config = readConfig(env)
      return startGateway(
        { ...config, ...changes, limits: { ...config.limits, ...limits } },
        { ...logs, ...through },
        logger,
        parts,
      )
    },
    close: async () => {
      for (let close = closers.pop(); close; close = closers.pop()) await close()
    },
  }
}

/** A world that specs speak of before it is open. */
export const openedLater = <T extends { close(): Promise<unknown> }>(open: () => Promise<T>) => {
  let opened: T | undefined
  return {
    parts: (): T => {
      if (!opened) throw new Error('the world is not open yet')
      return opened
    },
    open: async (): Promise<void> => {
      opened = await open()
    },
    close: async (): Promise<unknown> => opened?.close(),
  }
}
