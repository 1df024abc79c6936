import { generateSecret, generateURI, verifySync } from 'otplib'

/** Codes of authenticator apps: RFC 6238 with SHA-1, six digits and 30 seconds, which all of them speak. */

/** one step before and after: clocks differ */
const toleranceSeconds = 30

/** 160 bits, base32 */
export const newTotpSecret = (): string => generateSecret({ length: 20 })

/** What an app reads out of the QR code. */
export const totpUri = (secret: string, email: string): string =>
  generateURI({ strategy: 'totp', issuer: 'Omium', label: email, secret })

/** The step whose code this is, now or a step away; undefined: of none. Compares in constant time. */
export const totpStep = (secret: string, code: string, nowMs: number): number | undefined => {
  const epoch = Math.floor(nowMs / 1000)
  const result = verifySync({ strategy: 'totp', secret, token: code, epoch, epochTolerance: toleranceSeconds })
  return result.valid && 'timeStep' in result ? result.timeStep : undefined
}
