import { z } from 'zod'
import { OmiumError } from './errors.ts'
import { apiKey } from './identity/api-key.ts'
import { keyEnvironment } from './identity/model.ts'
import { defaultTopicPrefix, tenantTopicsSegment } from './log/topics.ts'

const wrappingKey = (text: string): { id: string; key: Buffer } | null => {
  const [, id, base64] = /^\s*([A-Za-z0-9._-]{1,100}):([A-Za-z0-9+/]{43}=)\s*$/.exec(text) ?? []
  return id === undefined || base64 === undefined ? null : { id, key: Buffer.from(base64, 'base64') }
}

/** Values separated by commas; none when absent. */
const list = <T extends z.ZodType<string, string>>(item: T) =>
  z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((one) => one.trim())
        .filter(Boolean),
    )
    .pipe(z.array(item))
/** `id:base64` of 32 bytes each, separated by commas */
const wrappingKeys = z
  .string()
  .transform((list) => list.split(',').filter(Boolean).map(wrappingKey))
  .refine((keys) => keys.every((key) => key !== null), 'expected id:base64 of 32 bytes, separated by commas')
  .transform((keys) => keys.filter((key) => key !== null))

/** Every setting of the platform, by the environment variable that carries it. A service picks the ones it needs. */
export const settings = {
  OMIUM_KAFKA_BROKERS: z
    .string()
    .min(1)
    .transform((list) =>
      list
        .split(',')
        .map((broker) => broker.trim())
        .filter(Boolean),
    )
    .pipe(z.array(z.string().regex(/^[^:\s]+:\d+$|^\[[^\]]+\]:\d+$/, 'expected host:port')).min(1)),
  OMIUM_SCHEMA_REGISTRY_URL: z.url(),
  /** as the owner of the tables: migrations, projections, consumers */
  OMIUM_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** the same database as the role `omium_app`, to which row-level security shows one tenant at a time */
  OMIUM_GATEWAY_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** without it nothing is lost but live output */
  OMIUM_REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  OMIUM_S3_ENDPOINT: z.url().optional(),
  OMIUM_S3_REGION: z.string().default('us-east-1'),
  OMIUM_S3_BUCKET: z.string().min(3).default('omium'),
  OMIUM_S3_ACCESS_KEY_ID: z.string().optional(),
  OMIUM_S3_SECRET_ACCESS_KEY: z.string().optional(),
  /** `id:base64` of 32 bytes each, separated by commas: checkpoints are encrypted with the first, read with all */
  OMIUM_ENCRYPTION_KEYS: wrappingKeys.default([]),
  /** what wraps the keys of personal data and of signatures: OMIUM_MASTER_KEYS, or the key OMIUM_KMS_KEY_ID of AWS KMS */
  OMIUM_KMS: z.enum(['local', 'aws']).default('local'),
  /** `id:base64` of 32 bytes each: the first wraps, all of them unwrap */
  OMIUM_MASTER_KEYS: wrappingKeys.default([]),
  /** id, ARN or alias; credentials come from where AWS's own programs find them */
  OMIUM_KMS_KEY_ID: z.string().min(1).max(200).optional(),
  OMIUM_KMS_REGION: z.string().default('us-east-1'),
  /** another address than AWS's own */
  OMIUM_KMS_ENDPOINT: z.url({ protocol: /^https?$/ }).optional(),
  /** `version:base64` of 32 bytes each: API keys are hashed with the first, recognised with all that are listed */
  OMIUM_KEY_PEPPERS: wrappingKeys.refine(
    (peppers) => peppers.length > 0 && peppers.every(({ id }) => /^[1-9]\d{0,8}$/.test(id)),
    'expected version:base64 with versions from 1',
  ),
  /** base64 of 32 bytes, for ever: what e-mail addresses are found by */
  OMIUM_DIGEST_KEY: z
    .string()
    .regex(/^[A-Za-z0-9+/]{43}=$/, 'expected base64 of 32 bytes')
    .transform((text) => Buffer.from(text, 'base64')),
  /** which API keys this installation issues and accepts */
  OMIUM_KEY_ENVIRONMENT: keyEnvironment.default('live'),
  /** a key that the gateway makes sure exists before it listens, for the tenant `ten_local`: for local stacks */
  OMIUM_LOCAL_API_KEY: apiKey.optional(),
  /** Cedar policies that forbid some of what permissions allow; without it there are none */
  OMIUM_POLICIES_FILE: z.string().optional(),
  OMIUM_TOPIC_PREFIX: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{1,100}$/)
    .refine(
      (prefix) => !prefix.split('.').includes(tenantTopicsSegment),
      `a segment "${tenantTopicsSegment}" is where topics of tenants begin`,
    )
    .default(defaultTopicPrefix),
  /** of subjects in the schema registry, when it is not the topic prefix: installations that share one share their schemas */
  OMIUM_SCHEMA_PREFIX: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{1,100}$/)
    .optional(),
  /** partitions of each new topic; never changes once topics exist */
  OMIUM_PARTITIONS: z.coerce.number().int().min(1).max(1000).default(12),
  OMIUM_REPLICATION: z.coerce.number().int().min(1).max(9).default(1),
  /** `true`: new event topics get flush.messages=1, every append is on disk before it is acknowledged */
  OMIUM_FSYNC: z.stringbool().default(false),
  /** consumer-group session timeout of partition owners, ms; bounds takeover. The broker's group.min.session.timeout.ms is the floor */
  OMIUM_OWNER_SESSION_TIMEOUT_MS: z.coerce.number().int().min(500).max(300_000).default(6000),
  /** secret that signs worker tokens, at least 32 characters */
  OMIUM_TOKEN_SECRET: z.string().min(32),
  /** identity providers for sign-in; without it people sign in by mail */
  OMIUM_SIGN_IN_FILE: z.string().optional(),
  /** `smtp://user:password@host:port` or `smtps://`: sends sign-in links; without it there are none */
  OMIUM_SMTP_URL: z.url({ protocol: /^smtps?$/ }).optional(),
  OMIUM_MAIL_FROM: z.string().max(320).default('Omium <no-reply@localhost>'),
  /** `localhost`: both loopback addresses, as far as the machine has them */
  OMIUM_GATEWAY_HOST: z.string().default('localhost'),
  OMIUM_GATEWAY_PORT: z.coerce.number().int().min(0).max(65535).default(8080),
  /** origins of browser programs that may call the gateway, separated by commas; none when absent, never `*` */
  OMIUM_CORS_ORIGINS: list(
    z.url({ protocol: /^https?$/ }).refine((url) => new URL(url).origin === url, 'expected scheme://host[:port]'),
  ),
  /** addresses of proxies whose `x-forwarded-for` is believed, separated by commas: `10.0.0.0/8`; none when absent */
  OMIUM_TRUSTED_PROXIES: list(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])),
  /** requests a minute that the gateway takes from one API key, one tenant, one address; 0: any number */
  OMIUM_RATE_PER_KEY: z.coerce.number().int().min(0).default(300_000),
  OMIUM_RATE_PER_TENANT: z.coerce.number().int().min(0).default(600_000),
  OMIUM_RATE_PER_ADDRESS: z.coerce.number().int().min(0).default(600_000),
  /** the same for one address and one of the routes that guard secrets */
  OMIUM_RATE_SENSITIVE: z.coerce.number().int().min(0).default(60),
  OMIUM_ENGINE_HOST: z.string().default('127.0.0.1'),
  OMIUM_ENGINE_PORT: z.coerce.number().int().min(0).max(65535).default(8090),
  /** where workers reach this engine, when it is not host and port above */
  OMIUM_ENGINE_ADVERTISED_URL: z.url({ protocol: /^wss?$/ }).optional(),
  /** how often workers say that they live, and after how much silence their runs go to others, ms */
  OMIUM_WORKER_HEARTBEAT_MS: z.coerce.number().int().min(10).max(60_000).default(250),
  OMIUM_WORKER_LEASE_MS: z.coerce.number().int().min(50).max(600_000).default(800),
  /** an owner stores a snapshot of a partition after so many accepted records */
  OMIUM_SNAPSHOT_EVERY: z.coerce.number().int().min(1).default(50_000),
  OMIUM_CHECKPOINTS_PORT: z.coerce.number().int().min(0).max(65535).default(8093),
  /** how often objects that no checkpoint refers to are looked for, ms */
  OMIUM_CHECKPOINT_SWEEP_MS: z.coerce.number().int().min(100).max(86_400_000).default(3_600_000),
  /** the projections that a process runs, separated by commas; all when absent */
  OMIUM_PROJECTIONS: z
    .string()
    .transform((names) => names.split(',').map((one) => one.trim()))
    .pipe(z.array(z.enum(['executions', 'checkpoints', 'recoveries', 'workflows', 'identity', 'webhooks'])).min(1))
    .optional(),
  OMIUM_PROJECTIONS_PORT: z.coerce.number().int().min(0).max(65535).default(8091),
  OMIUM_WORKFLOW_MANAGER_PORT: z.coerce.number().int().min(0).max(65535).default(8094),
  OMIUM_IDENTITY_PORT: z.coerce.number().int().min(0).max(65535).default(8097),
  OMIUM_MODELS_HOST: z.string().default('127.0.0.1'),
  OMIUM_MODELS_PORT: z.coerce.number().int().min(0).max(65535).default(8092),
  /** where the model gateway is: without it nobody checks that the models exist which workflows name */
  OMIUM_MODELS_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** providers, models, limits and prices; without it they come from the providers' usual variables */
  OMIUM_MODELS_FILE: z.string().optional(),
  /** `true`: the scripted model server of the examples answers where no provider does, and says so */
  OMIUM_MODELS_LOCAL: z.stringbool().default(false),
  /** `true`: prompts are logged, secrets in them masked */
  OMIUM_MODELS_LOG_PROMPTS: z.stringbool().default(false),
  OMIUM_WEBHOOKS_PORT: z.coerce.number().int().min(0).max(65535).default(8098),
  /** waits before the second, third, ... attempt to deliver a webhook, ms; some 75 hours in all unless told otherwise */
  OMIUM_WEBHOOK_RETRIES_MS: z
    .string()
    .default('5000,300000,1800000,7200000,18000000,36000000,50400000,72000000,86400000')
    .transform((text) => text.split(',').map(Number))
    .pipe(z.array(z.int().min(1).max(604_800_000)).max(50)),
  /** an endpoint that nothing could be delivered to for so long is disabled, ms */
  OMIUM_WEBHOOK_DISABLE_AFTER_MS: z.coerce.number().int().min(1000).default(432_000_000),
  /** how long deliveries that ended can be looked at, and delivered again by their ids, ms; a thirtieth more at most */
  OMIUM_WEBHOOK_KEEP_MS: z.coerce.number().int().min(1000).default(2_592_000_000),
  /** how long a receiver may take to answer, ms */
  OMIUM_WEBHOOK_TIMEOUT_MS: z.coerce.number().int().min(100).max(60_000).default(15_000),
  /** ranges that are not public and may be called all the same (webhooks, identity providers), separated by commas: `10.1.0.0/16` */
  OMIUM_EGRESS_ALLOW: list(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])),
  /** ports of public addresses that may be called, separated by commas */
  OMIUM_EGRESS_PORTS: z
    .string()
    .default('443,8443')
    .transform((text) => text.split(',').map(Number))
    .pipe(z.array(z.int().min(1).max(65535))),
  /** `true`: addresses that customers choose may be http */
  OMIUM_EGRESS_HTTP: z.stringbool().default(false),
  /** DNS servers that are asked whether a tenant controls a domain, separated by commas; the system's when absent */
  OMIUM_DNS_SERVERS: list(z.string().regex(/^[0-9a-fA-F.:[\]]+$/, 'expected address[:port]')),
  /** how often domains that were verified are looked at again, and how long one goes on without its record, ms */
  OMIUM_DOMAIN_CHECK_MS: z.coerce.number().int().min(100).max(86_400_000).default(21_600_000),
  OMIUM_DOMAIN_GRACE_MS: z.coerce.number().int().min(0).default(604_800_000),
  OMIUM_RECOVERY_PORT: z.coerce.number().int().min(0).max(65535).default(8096),
  /** how often the recovery orchestrator looks for runs that stand still, ms */
  OMIUM_RECOVERY_SWEEP_MS: z.coerce.number().int().min(10).max(600_000).default(1000),
  /** base URL and key that clients, workers and the CLI use. A name: browsers have passkeys for names, not for addresses */
  OMIUM_URL: z.url().default('http://localhost:8080'),
  OMIUM_API_KEY: z.string(),
  OMIUM_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
} as const

type SettingName = keyof typeof settings
export type Settings<N extends SettingName> = { [K in N]: z.infer<(typeof settings)[K]> }

/**
 * Reads the named settings from an environment and reports everything that is wrong at once.
 * @throws OmiumError `settings_invalid`, whose detail has one line for each bad setting (never its value)
 */
export const readSettings = <N extends SettingName>(
  env: Record<string, string | undefined>,
  names: readonly N[],
): Settings<N> => {
  const values: Record<string, unknown> = {}
  const problems: string[] = []
  for (const key of names) {
    const raw = env[key]
    const result = settings[key].safeParse(raw === '' ? undefined : raw)
    if (result.success) values[key] = result.data
    else
      problems.push(
        `${key}: ${raw === undefined || raw === '' ? 'is required' : result.error.issues.map((i) => i.message).join('; ')}`,
      )
  }
  if (problems.length > 0)
    throw new OmiumError(
      'settings_invalid',
      `${problems.length} bad setting(s)\n${problems.map((p) => `  ${p}`).join('\n')}`,
    )
  return values as Settings<N>
}
