import { readFileSync } from 'node:fs'
import { OmiumError } from '@omium/schemas'
import { z } from 'zod'

/** Where a key is, never the key: `env:NAME` or `file:/path`. */
export const secretRef = z
  .string()
  .max(1000)
  .regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/, 'expected env:NAME or file:/path; keys do not belong into this file')

/** @throws OmiumError `settings_invalid` naming the reference, never what it refers to */
export const readSecret = (ref: string, env: Readonly<Record<string, string | undefined>>): string => {
  const place = ref.slice(ref.indexOf(':') + 1)
  if (ref.startsWith('env:')) {
    const value = env[place]
    if (!value) throw new OmiumError('settings_invalid', `the variable ${place} is not set`)
    return value
  }
  try {
    const value = readFileSync(place, 'utf8').trim()
    if (value) return value
  } catch (cause) {
    throw new OmiumError('settings_invalid', `the key file ${place} cannot be read`, { cause })
  }
  throw new OmiumError('settings_invalid', `the key file ${place} is empty`)
}
