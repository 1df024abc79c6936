import { type LogSettings, logSettings } from '@omium/log'
import { peppersOf, readSettings, type Settings } from '@omium/schemas'

export const modelGatewaySettings = [
  ...logSettings,
  'OMIUM_GATEWAY_DATABASE_URL',
  'OMIUM_REDIS_URL',
  'OMIUM_URL',
  'OMIUM_MODELS_HOST',
  'OMIUM_MODELS_PORT',
  'OMIUM_MODELS_FILE',
  'OMIUM_MODELS_LOCAL',
  'OMIUM_MODELS_LOG_PROMPTS',
  'OMIUM_TRUSTED_PROXIES',
  'OMIUM_KEY_PEPPERS',
  'OMIUM_KEY_ENVIRONMENT',
  'OMIUM_POLICIES_FILE',
  'OMIUM_LOG_LEVEL',
] as const

export const configOf = (settings: Settings<(typeof modelGatewaySettings)[number]>) => ({
  /** what it says of rights takes effect at once */
  log: settings as LogSettings,
  databaseUrl: settings.OMIUM_GATEWAY_DATABASE_URL,
  redisUrl: settings.OMIUM_REDIS_URL,
  /** of every key in Redis */
  keyPrefix: `omium:${settings.OMIUM_TOPIC_PREFIX}:models:`,
  /** of the gateway, which signs service tokens */
  platformUrl: settings.OMIUM_URL,
  host: settings.OMIUM_MODELS_HOST,
  port: settings.OMIUM_MODELS_PORT,
  file: settings.OMIUM_MODELS_FILE,
  local: settings.OMIUM_MODELS_LOCAL,
  keys: { environment: settings.OMIUM_KEY_ENVIRONMENT, peppers: peppersOf(settings.OMIUM_KEY_PEPPERS) },
  policiesFile: settings.OMIUM_POLICIES_FILE,
  logPrompts: settings.OMIUM_MODELS_LOG_PROMPTS,
  trustedProxies: settings.OMIUM_TRUSTED_PROXIES,
  bodyBytes: 32 * 1024 * 1024,
})
export type ModelGatewayConfig = ReturnType<typeof configOf>

/** @throws OmiumError `settings_invalid` with everything that is wrong */
export const readConfig = (env: Record<string, string | undefined>): ModelGatewayConfig =>
  configOf(readSettings(env, modelGatewaySettings))
