import type { ApiKeyCommand, ApiKeyEvent } from '@omium/schemas'
import { type Asked, type Decision, decided, refused } from './decision.ts'

/**
 * An API key. The key itself is known to whoever got it, once; here is only what it may be recognised by.
 *
 * 1. An id is issued once. The same again is nothing new; another key under the same id is refused.
 * 2. A key that was replaced goes on until `until`, which later replacements can only bring nearer.
 * 3. Revoked is for ever: nothing is decided about a revoked key any more.
 */
export interface ApiKeyState {
  readonly digest: string
  readonly status: 'live' | 'revoked'
  /** when it stops: its own expiry, or the end of the overlap with its successor */
  readonly until: number | undefined
}

export const evolveApiKey = (state: ApiKeyState | undefined, { type, data }: ApiKeyEvent): ApiKeyState => {
  if (type === 'ApiKeyIssued') return { digest: data.hash.digest, status: 'live', until: data.expiresAt }
  if (!state) throw new RangeError(`${type} of a key that was never issued`)
  if (type === 'ApiKeyReplaced') return { ...state, until: data.until }
  return { ...state, status: 'revoked' }
}

export const decideApiKey = (
  state: ApiKeyState | undefined,
  { type, data }: ApiKeyCommand,
  keyId: string,
  { actor: by, nowMs }: Asked,
): Decision<ApiKeyEvent> => {
  if (type === 'IssueApiKey') {
    if (state?.digest === data.hash.digest) return decided()
    if (state) return refused('identity_conflict', `there is another key ${keyId}`)
    if (data.expiresAt !== undefined && data.expiresAt <= nowMs)
      return refused('invalid_request', 'expiresAt has passed already')
    return decided({ type: 'ApiKeyIssued', data: { ...data, by } })
  }
  if (!state) return refused('api_key_unknown', `there is no API key ${keyId}`)
  if (type === 'RevokeApiKey') {
    if (state.status === 'revoked') return decided()
    return decided({ type: 'ApiKeyRevoked', data: { ...data, by } })
  }
  if (state.status === 'revoked') return refused('identity_conflict', `the API key ${keyId} is revoked`)
  if (state.until !== undefined && state.until <= nowMs)
    return refused('identity_conflict', `the API key ${keyId} has expired`)
  const until = Math.min(data.until, state.until ?? Number.POSITIVE_INFINITY)
  return decided({ type: 'ApiKeyReplaced', data: { successor: data.successor, until, by } })
}
