import { readFileSync } from 'node:fs'
import { secretRef } from '@omium/kit'
import { OmiumError } from '@omium/schemas'
import { parse } from 'yaml'
import { z } from 'zod'
import { dialectNames } from '../dialects/dialect.ts'
import { modelName } from '../wire/chat.ts'

/** The settings file of the service (`OMIUM_MODELS_FILE`), YAML or JSON. Unknown members are refused: they are typing errors. */
const perMinute = z.number().int().positive().max(1_000_000_000)
const milliseconds = z.number().int().positive().max(3_600_000)

const limits = z.strictObject({
  requestsPerMinute: perMinute.optional(),
  tokensPerMinute: perMinute.optional(),
  /** calls at a time */
  concurrency: z.number().int().positive().max(100_000).optional(),
})

const provider = z.strictObject({
  dialect: z.enum(dialectNames),
  /** up to and without `/chat/completions`, `/v1/messages`, `/models` or `/openai` */
  baseUrl: z.url({ protocol: /^https?$/ }),
  apiKey: secretRef.optional(),
  /** sent with every request; secrets belong into `apiKey` */
  headers: z.record(z.string().regex(/^[A-Za-z0-9-]+$/), z.string().max(1000)).optional(),
  /** Azure: with it models are deployments */
  apiVersion: z.string().max(50).optional(),
  /** this provider takes `idempotency-key`; default as its dialect */
  idempotencyKeys: z.boolean().optional(),
  limits: limits.optional(),
  /** calls that may wait for one of `limits.concurrency` */
  queue: z.number().int().min(0).max(100_000).default(100),
  /** said to whoever lists the models: these answers are no language model's */
  scripted: z.boolean().default(false),
})

const target = z.strictObject({
  provider: z.string(),
  /** the provider's name of it; the asked name unless told */
  model: modelName.optional(),
})

export const timeouts = z.strictObject({
  connectMs: milliseconds.default(5_000),
  /** until the first byte of the answer, and between bytes of a stream */
  firstByteMs: milliseconds.default(120_000),
  idleMs: milliseconds.default(60_000),
  /** the whole call with its retries and fallbacks */
  totalMs: milliseconds.default(600_000),
})
export type Timeouts = z.infer<typeof timeouts>

const route = z.strictObject({
  /** in the order in which they are asked */
  targets: z.array(target).min(1).max(10),
  timeouts: timeouts.prefault({}),
  maxAnswerBytes: z
    .number()
    .int()
    .min(1024)
    .max(1024 ** 3)
    .default(16 * 1024 * 1024),
  /** only these tenants may use it; for others it does not exist */
  tenants: z.array(z.string()).optional(),
  /** other prices than the list's, US dollars per million tokens */
  price: z.strictObject({ input: z.number().min(0), output: z.number().min(0) }).optional(),
})

const price = z.strictObject({
  input: z.number().min(0),
  output: z.number().min(0),
  cachedInput: z.number().min(0).optional(),
  cacheWrite: z.number().min(0).optional(),
  above: z
    .strictObject({ inputTokens: z.number().int().positive(), input: z.number().min(0), output: z.number().min(0) })
    .optional(),
})

export const modelSettings = z
  .strictObject({
    version: z.literal(1),
    providers: z.record(z.string().regex(/^[a-z0-9][a-z0-9-]{0,49}$/), provider),
    /** by the name that callers use; one that ends in `*` fits every name that begins so, the longest counts */
    models: z.record(z.string().regex(/^[^*\s]{0,200}\*?$/), route),
    limits: z
      .strictObject({
        /** of each tenant */
        tenant: limits.prefault({}),
        /** in place of those, by tenant */
        tenants: z.record(z.string(), limits).default({}),
      })
      .prefault({}),
    retries: z
      .strictObject({
        /** of one target */
        max: z.number().int().min(0).max(10).default(2),
        /** retries are at most this share of a provider's calls, percent */
        budgetPercent: z.number().min(0).max(100).default(10),
        firstDelayMs: milliseconds.default(200),
        /** a provider that wants to be left alone for longer is left to the caller's own retries */
        maxDelayMs: milliseconds.default(5_000),
      })
      .prefault({}),
    breaker: z
      .strictObject({
        /** share of failures that opens it, percent */
        errorPercent: z.number().min(1).max(100).default(50),
        /** calls within the window before it may open */
        minimumCalls: z.number().int().positive().default(10),
        windowMs: milliseconds.default(10_000),
        resetMs: milliseconds.default(5_000),
      })
      .prefault({}),
    cache: z
      .strictObject({
        ttlSeconds: z
          .number()
          .int()
          .positive()
          .max(30 * 86_400)
          .default(3600),
        maxBytes: z
          .number()
          .int()
          .positive()
          .max(64 * 1024 * 1024)
          .default(1024 * 1024),
      })
      .prefault({}),
    prices: z.strictObject({ version: z.string().max(50), models: z.record(z.string(), price) }).optional(),
  })
  .superRefine(({ providers, models }, context) => {
    for (const [name, { targets }] of Object.entries(models))
      for (const [index, { provider: asked }] of targets.entries())
        if (!Object.hasOwn(providers, asked))
          context.addIssue({
            code: 'custom',
            path: ['models', name, 'targets', index, 'provider'],
            message: `there is no provider "${asked}"`,
          })
  })
export type ModelSettings = z.infer<typeof modelSettings>
export type ModelSettingsInput = z.input<typeof modelSettings>
export type ProviderSettings = z.infer<typeof provider>
export type RouteSettings = z.infer<typeof route>
export type LimitSettings = z.infer<typeof limits>

/** @throws OmiumError `settings_invalid` with one line for each thing that is wrong */
export const parseModelSettings = (value: unknown, where: string): ModelSettings => {
  const parsed = modelSettings.safeParse(value)
  if (parsed.success) return parsed.data
  const lines = parsed.error.issues.map(({ path, message }) => `  ${path.join('.') || 'file'}: ${message}`)
  throw new OmiumError('settings_invalid', `${where}: ${lines.length} bad setting(s)\n${lines.join('\n')}`)
}

/** @throws OmiumError `settings_invalid` */
export const readModelSettings = (file: string): ModelSettings => {
  let value: unknown
  try {
    // YAML holds JSON
    value = parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new OmiumError(
      'settings_invalid',
      `${file} cannot be read: ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
      },
    )
  }
  return parseModelSettings(value, file)
}
