import type { ApiKeyCommand, ApiKeyEvent } from '@omium/schemas'
import { type Asked, type Decision, decided, refused } from './decision.ts'

/**
 * An API key. The key itself is known to whoever got it, once; here is only what it may be recognised by.
 *
 * 1. An id is issued once. The same again is nothing new; another key under the same id is refused.
 * 2. A key that was replaced goes on until `until`, which later replacements can only bring nearer.
 * 3. Revoked is for ever: nothing is decided about a revoked key any more.
 * 4. A person who makes one is told by mail (`notify`): their user owes them that.
 */
export interface ApiKeyState {
  readonly digest: string
  readonly status: 'live' | 'revoked'
  /** when it stops: its own expiry, or the end of the overlap with its successor */
  readonly until: number | undefined
  /** who is still to be told, and what of */
  readonly report: Report | undefined
}

interface Report {
  readonly userId: string
  readonly tenant: string
  readonly keyId: string
  readonly name: string
  readonly prefix: string
  readonly correlationId: string
}

interface Place {
  readonly id: string
  readonly tenant: string
  readonly correlationId: string
}

export const evolveApiKey = (
  state: ApiKeyState | undefined,
  { type, data }: ApiKeyEvent,
  { id: keyId, tenant, correlationId }: Place,
): ApiKeyState => {
  if (type === 'ApiKeyIssued') {
    const { hash, expiresAt, notify: userId, name, prefix } = data
    const report = userId === undefined ? undefined : { userId, tenant, keyId, name, prefix, correlationId }
    return { digest: hash.digest, status: 'live', until: expiresAt, report }
  }
  if (!state) throw new RangeError(`${type} of a key that was never issued`)
  if (type === 'ApiKeyReplaced') return { ...state, until: data.until }
  if (type === 'ApiKeyReported') return { ...state, report: undefined }
  return { ...state, status: 'revoked' }
}

/** The person behind an actor, if it is one. */
const personOf = (actor: string): string | undefined => /^user:(.+)$/.exec(actor)?.[1]

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
    const notify = personOf(by)
    return decided({ type: 'ApiKeyIssued', data: { ...data, by, ...(notify !== undefined && { notify }) } })
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
