import { createHmac, timingSafeEqual } from 'node:crypto'
import { OmiumError } from '@omium/schemas'

/**
 * Refresh tokens: `<userId>.<sessionId>.<generation>.<mac>`. Computed from the session's generation, never stored: the log says
 * which generation is current, and whether an older one is a lost answer or a theft.
 */
export interface RefreshClaims {
  readonly userId: string
  readonly sessionId: string
  readonly generation: number
}

export interface RefreshTokens {
  mint(claims: RefreshClaims): string
  /** @throws OmiumError `session_ended` for whatever this installation did not mint; the detail never quotes it */
  verify(token: string): RefreshClaims
}

const shape = /^([A-Za-z0-9_-]{1,128})\.([A-Za-z0-9_-]{1,128})\.(0|[1-9]\d{0,14})\.([A-Za-z0-9_-]{43})$/

export const createRefreshTokens = (key: Buffer): RefreshTokens => {
  const macOf = (body: string): string => createHmac('sha256', key).update(body).digest('base64url')
  return {
    mint: ({ userId, sessionId, generation }) => {
      const body = `${userId}.${sessionId}.${generation}`
      return `${body}.${macOf(body)}`
    },
    verify: (token) => {
      const [, userId, sessionId, generation, mac] = shape.exec(token) ?? []
      const genuine =
        userId !== undefined &&
        mac !== undefined &&
        // compared as text: a token has one spelling
        timingSafeEqual(Buffer.from(mac), Buffer.from(macOf(`${userId}.${sessionId}.${generation}`)))
      if (!genuine || sessionId === undefined)
        throw new OmiumError('session_ended', 'this is no refresh token of this installation: sign in again')
      return { userId, sessionId, generation: Number(generation) }
    },
  }
}
