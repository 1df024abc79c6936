import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { OmiumError } from '@omium/schemas'
import { z } from 'zod'

/** Secrets of one local stack: made once, kept in a file that only its owner can read, handed on by environment or file. */
const credentials = z.object({
  postgresPassword: z.string().min(20),
  redisPassword: z.string().min(20),
  s3AccessKeyId: z.string().min(16),
  s3SecretAccessKey: z.string().min(20),
  /** key of the seeded tenant: `om_test_` and 128 random bits */
  apiKey: z.string().regex(/^om_test_[0-9a-f]{32}$/),
  /** signs worker tokens */
  tokenSecret: z.string().min(32),
})
export type Credentials = z.infer<typeof credentials>

const generate = (): Credentials => ({
  postgresPassword: randomBytes(24).toString('hex'),
  redisPassword: randomBytes(24).toString('hex'),
  s3AccessKeyId: `OM${randomBytes(9).toString('hex').toUpperCase()}`,
  s3SecretAccessKey: randomBytes(30).toString('hex'),
  apiKey: `om_test_${randomBytes(16).toString('hex')}`,
  tokenSecret: randomBytes(32).toString('hex'),
})

/**
 * The credentials of a stack, generated at the first call.
 * @throws OmiumError `settings_invalid` when the file exists but does not hold them
 */
export const loadCredentials = (file: string): Credentials => {
  if (!existsSync(file)) writeFileSync(file, `${JSON.stringify(generate(), null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  chmodSync(file, 0o600)
  try {
    return credentials.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause) {
    throw new OmiumError('settings_invalid', `${file} does not hold the credentials of a stack; reset the stack`, {
      cause,
    })
  }
}
