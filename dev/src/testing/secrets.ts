import { randomBytes } from 'node:crypto'
import { apiKeyBytes, formatApiKey } from '@omium/schemas'

export const newApiKey = (environment: 'live' | 'test' = 'test'): string =>
  formatApiKey(environment, randomBytes(apiKeyBytes))

/** Settings that every gateway needs and that are secrets, fresh. */
export const freshSecrets = (): Record<string, string> => {
  const key = () => randomBytes(32).toString('base64')
  return {
    OMIUM_TOKEN_SECRET: randomBytes(32).toString('hex'),
    OMIUM_KEY_ENVIRONMENT: 'test',
    OMIUM_KEY_PEPPERS: `1:${key()}`,
    OMIUM_MASTER_KEYS: `m1:${key()}`,
    OMIUM_DIGEST_KEY: key(),
  }
}
