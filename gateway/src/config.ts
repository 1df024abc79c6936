import { type KmsSettings, kmsSettings } from '@omium/personal-data'
import { egressRules, egressSettings } from '@omium/safe-fetch'
import { peppersOf, readSettings, type Settings } from '@omium/schemas'
import { defaultLimits } from './services.ts'

export const gatewaySettings = [
  'OMIUM_GATEWAY_DATABASE_URL',
  'OMIUM_GATEWAY_HOST',
  'OMIUM_GATEWAY_PORT',
  'OMIUM_TOKEN_SECRET',
  'OMIUM_REDIS_URL',
  'OMIUM_TOPIC_PREFIX',
  'OMIUM_MODELS_URL',
  'OMIUM_CORS_ORIGINS',
  'OMIUM_TRUSTED_PROXIES',
  'OMIUM_RATE_PER_KEY',
  'OMIUM_RATE_PER_TENANT',
  'OMIUM_RATE_PER_ADDRESS',
  'OMIUM_RATE_SENSITIVE',
  'OMIUM_S3_ENDPOINT',
  'OMIUM_S3_REGION',
  'OMIUM_S3_BUCKET',
  'OMIUM_S3_ACCESS_KEY_ID',
  'OMIUM_S3_SECRET_ACCESS_KEY',
  'OMIUM_ENCRYPTION_KEYS',
  ...kmsSettings,
  'OMIUM_DIGEST_KEY',
  'OMIUM_KEY_PEPPERS',
  'OMIUM_KEY_ENVIRONMENT',
  'OMIUM_LOCAL_API_KEY',
  'OMIUM_POLICIES_FILE',
  'OMIUM_URL',
  'OMIUM_SIGN_IN_FILE',
  'OMIUM_SMTP_URL',
  'OMIUM_MAIL_FROM',
  'OMIUM_DNS_SERVERS',
  ...egressSettings,
  'OMIUM_LOG_LEVEL',
] as const

export const configOf = (settings: Settings<(typeof gatewaySettings)[number]>) => ({
  databaseUrl: settings.OMIUM_GATEWAY_DATABASE_URL,
  host: settings.OMIUM_GATEWAY_HOST,
  port: settings.OMIUM_GATEWAY_PORT,
  redisUrl: settings.OMIUM_REDIS_URL,
  topicPrefix: settings.OMIUM_TOPIC_PREFIX,
  modelsUrl: settings.OMIUM_MODELS_URL,
  corsOrigins: settings.OMIUM_CORS_ORIGINS,
  trustedProxies: settings.OMIUM_TRUSTED_PROXIES,
  rates: {
    perKey: settings.OMIUM_RATE_PER_KEY,
    perTenant: settings.OMIUM_RATE_PER_TENANT,
    perAddress: settings.OMIUM_RATE_PER_ADDRESS,
    sensitive: settings.OMIUM_RATE_SENSITIVE,
  },
  tokenSecret: settings.OMIUM_TOKEN_SECRET,
  s3: {
    endpoint: settings.OMIUM_S3_ENDPOINT,
    region: settings.OMIUM_S3_REGION,
    bucket: settings.OMIUM_S3_BUCKET,
    accessKeyId: settings.OMIUM_S3_ACCESS_KEY_ID,
    secretAccessKey: settings.OMIUM_S3_SECRET_ACCESS_KEY,
  },
  encryptionKeys: settings.OMIUM_ENCRYPTION_KEYS,
  kms: settings as KmsSettings,
  digestKey: settings.OMIUM_DIGEST_KEY,
  newKeys: { environment: settings.OMIUM_KEY_ENVIRONMENT, peppers: peppersOf(settings.OMIUM_KEY_PEPPERS) },
  egress: egressRules(settings),
  policiesFile: settings.OMIUM_POLICIES_FILE,
  localApiKey: settings.OMIUM_LOCAL_API_KEY,
  signIn: {
    publicUrl: settings.OMIUM_URL,
    providersFile: settings.OMIUM_SIGN_IN_FILE,
    smtpUrl: settings.OMIUM_SMTP_URL,
    mailFrom: settings.OMIUM_MAIL_FROM,
    /** where the dashboard is */
    returnTo: ['/app'],
  },
  dnsServers: settings.OMIUM_DNS_SERVERS,
  /** how long a command may take to be decided, ms */
  commandTimeoutMs: 15_000,
  limits: defaultLimits,
})
export type Config = ReturnType<typeof configOf>

/** @throws OmiumError `settings_invalid` with everything that is wrong */
export const readConfig = (env: Record<string, string | undefined>): Config =>
  configOf(readSettings(env, gatewaySettings))
