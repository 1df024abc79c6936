import type { ApiKeyView, KeyScopes } from '@omium/schemas'
import type { AnswerOf, Call, Http } from './http.ts'
import { pages } from './pages.ts'

export interface NewKey {
  /** nobody can give more than they have */
  scopes: KeyScopes
  expiresAt?: Date
  /** addresses, or ranges in CIDR notation, that it may be used from; absent: any */
  ranges?: readonly string[]
  /** when it may be used; absent: at any time */
  hours?: NonNullable<Call<'POST /v1/keys'>['body']['hours']>
}

/** API keys of the tenant. A key is in the answer that creates it, and nowhere else, ever. */
export interface Keys {
  /** Newest first, fetched page by page. */
  list(): AsyncIterable<ApiKeyView>
  /** @throws OmiumError `api_key_unknown` */
  get(id: string): Promise<ApiKeyView>
  create(name: string, key: NewKey): Promise<CreatedKey>
  /** A successor with the same scopes; the old key goes on for `overlapMs` (a day unless given). */
  rotate(id: string, options?: { overlapMs?: number; expiresAt?: Date }): Promise<CreatedKey>
  /** For ever. */
  revoke(id: string, reason?: string): Promise<AnswerOf<'DELETE /v1/keys/{id}'>>
  /** Whether a text is a live key of this tenant, and what it may do. */
  verify(key: string): Promise<AnswerOf<'POST /v1/keys/verify'>>
}
export type CreatedKey = AnswerOf<'POST /v1/keys'>

export const keysOf = (http: Http): Keys => ({
  list: () => pages(http, 'GET /v1/keys', { query: { limit: 200 } }),
  get: (id) => http.call('GET /v1/keys/{id}', { path: { id } }),
  create: (name, { expiresAt, ...key }) =>
    http.call('POST /v1/keys', { body: { name, ...key, expiresAt: expiresAt?.toISOString() } }),
  rotate: (id, { overlapMs, expiresAt } = {}) => {
    const body = { overlapMs, expiresAt: expiresAt?.toISOString() }
    return http.call('POST /v1/keys/{id}/rotate', { path: { id }, body })
  },
  revoke: (id, reason) => http.call('DELETE /v1/keys/{id}', { path: { id }, body: { reason } }),
  verify: (key) => http.call('POST /v1/keys/verify', { body: { key } }),
})
