import { randomInt } from 'node:crypto'
import { recoveryCodeCount } from '@omium/schemas'

/** Recovery codes: 50 bits each, in letters and digits that nobody mistakes for others (Crockford's base 32). */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const length = 10

export const newRecoveryCodes = (): string[] =>
  Array.from({ length: recoveryCodeCount }, () => {
    const letters = Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
    return `${letters.slice(0, 5)}-${letters.slice(5)}`
  })

/** A code as it was printed, out of what somebody typed; undefined: it cannot be one. */
export const normalizedRecoveryCode = (typed: string): string | undefined => {
  const letters = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1')
  return /^[0-9A-HJKMNP-TV-Z]{10}$/.test(letters) ? letters : undefined
}
