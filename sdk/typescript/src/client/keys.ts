import {
  type ApiKeyView,
  apiKeyView,
  createdApiKey,
  identityReceipt,
  type KeyScopes,
  page,
  verifiedApiKey,
} from '@omium/schemas'
import type { z } from 'zod'
import type { Http } from './http.ts'
import { pages } from './pages.ts'

const keysPage = page(apiKeyView)

export interface NewKey {
  /** nobody can give more than they have */
  scopes: KeyScopes
  expiresAt?: Date
  /** addresses, or ranges in CIDR notation, that it may be used from; absent: any */
  ranges?: readonly string[]
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
  revoke(id: string, reason?: string): Promise<z.infer<typeof identityReceipt>>
  /** Whether a text is a live key of this tenant, and what it may do. */
  verify(key: string): Promise<z.infer<typeof verifiedApiKey>>
}
export type CreatedKey = z.infer<typeof createdApiKey>

export const keysOf = (http: Http): Keys => {
  const at = (id: string, what = '') => `/v1/keys/${encodeURIComponent(id)}${what}`
  return {
    list: () => pages(http, '/v1/keys', keysPage, { limit: 200 }),
    get: async (id) => apiKeyView.parse(await http.json('GET', at(id))),
    create: async (name, { scopes, expiresAt, ranges }) => {
      const body = { name, scopes, expiresAt: expiresAt?.toISOString(), ranges }
      return createdApiKey.parse(await http.json('POST', '/v1/keys', { body }))
    },
    rotate: async (id, { overlapMs, expiresAt } = {}) => {
      const body = { overlapMs, expiresAt: expiresAt?.toISOString() }
      return createdApiKey.parse(await http.json('POST', at(id, '/rotate'), { body }))
    },
    revoke: async (id, reason) => identityReceipt.parse(await http.json('DELETE', at(id), { body: { reason } })),
    verify: async (key) => verifiedApiKey.parse(await http.json('POST', '/v1/keys/verify', { body: { key } })),
  }
}
