import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { apiKey, apiKeyBytes, formatApiKey, OmiumError } from '@omium/schemas'
import { z } from 'zod'

/** Secrets of one local stack: made once, kept in a file that only its owner can read, handed on by environment or file. */
const credentials = z.object({
  postgresPassword: z.string().min(20),
  redisPassword: z.string().min(20),
  s3AccessKeyId: z.string().min(16),
  s3SecretAccessKey: z.string().min(20),
  /** of the local tenant; the gateway makes it known at each start, so one of another form is simply replaced */
  apiKey: apiKey.optional().catch(undefined),
  /** signs worker tokens */
  tokenSecret: z.string().min(32),
  /** base64 of 32 bytes each */
  masterKey: z.base64().length(44).optional(),
  digestKey: z.base64().length(44).optional(),
  keyPepper: z.base64().length(44).optional(),
})
type Stored = z.infer<typeof credentials>
export type Credentials = { [K in keyof Stored]-?: NonNullable<Stored[K]> }

const key = (): string => randomBytes(32).toString('base64')

const generate = (): Credentials => ({
  postgresPassword: randomBytes(24).toString('hex'),
  redisPassword: randomBytes(24).toString('hex'),
  s3AccessKeyId: `OM${randomBytes(9).toString('hex').toUpperCase()}`,
  s3SecretAccessKey: randomBytes(30).toString('hex'),
  apiKey: formatApiKey('test', randomBytes(apiKeyBytes)),
  tokenSecret: randomBytes(32).toString('hex'),
  masterKey: key(),
  digestKey: key(),
  keyPepper: key(),
})

const write = (file: string, all: Credentials): void =>
  writeFileSync(file, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 })

/**
 * The credentials of a stack, generated at the first call; those that an older stack did not have are added.
 * @throws OmiumError `settings_invalid` when the file exists but does not hold them
 */
export const loadCredentials = (file: string): Credentials => {
  if (!existsSync(file)) write(file, generate())
  chmodSync(file, 0o600)
  try {
    const kept = credentials.parse(JSON.parse(readFileSync(file, 'utf8')))
    const known = Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined))
    const complete: Credentials = { ...generate(), ...known }
    if (Object.keys(known).length < Object.keys(complete).length) write(file, complete)
    return complete
  } catch (cause) {
    throw new OmiumError('settings_invalid', `${file} does not hold the credentials of a stack; reset the stack`, {
      cause,
    })
  }
}
