import { hashJson, type JsonValue } from '@omium/schemas'
import type { Redis } from 'ioredis'
import type { ChatRequest, EmbeddingsRequest } from './wire/chat.ts'

/**
 * Answers by the hash of what was asked, when the caller wants that: header `x-omium-cache: read|write|both`, with `,force`
 * for requests whose answers differ from call to call (no temperature of 0). Each tenant has its own; nothing is shared.
 */
export interface CacheWish {
  readonly read: boolean
  readonly write: boolean
  readonly force: boolean
}

const wishPattern = /^(read|write|both)( *, *force)?$/i

/** undefined: no cache is wanted; null: the header says something else */
export const cacheWishOf = (header: unknown): CacheWish | undefined | null => {
  if (header === undefined) return undefined
  const found = typeof header === 'string' ? wishPattern.exec(header.trim()) : null
  if (!found) return null
  const way = found[1]?.toLowerCase()
  return { read: way !== 'write', write: way !== 'read', force: found[2] !== undefined }
}

/** Whether the same request would be answered the same again, as far as providers promise that. */
const isDeterministic = (request: ChatRequest | EmbeddingsRequest): boolean =>
  !('messages' in request) || ((request as ChatRequest).temperature === 0 && ((request as ChatRequest).n ?? 1) === 1)

/** Members that change how an answer is sent or accounted for, not what it is. */
const volatile = ['stream', 'stream_options', 'user', 'metadata', 'store', 'prompt_cache_key', 'safety_identifier']

export const cacheKeyOf = (tenant: string, kind: string, request: ChatRequest | EmbeddingsRequest): string => {
  const asked = Object.fromEntries(Object.entries(request).filter(([name]) => !volatile.includes(name)))
  return `${tenant}:${hashJson({ kind, asked })}`
}

export const mayCache = (wish: CacheWish, request: ChatRequest | EmbeddingsRequest): boolean =>
  wish.force || isDeterministic(request)

export interface AnswerCache {
  /** undefined when it is not there, or when the store is away */
  get(key: string): Promise<JsonValue | undefined>
  /** does not wait, may not happen */
  put(key: string, answer: unknown): void
}

export const createCache = (
  redis: Redis | undefined,
  prefix: string,
  { ttlSeconds, maxBytes }: { ttlSeconds: number; maxBytes: number },
): AnswerCache => ({
  async get(key) {
    if (redis?.status !== 'ready') return undefined
    try {
      const text = await redis.get(`${prefix}cache:${key}`)
      return text === null ? undefined : (JSON.parse(text) as JsonValue)
    } catch {
      return undefined
    }
  },
  put(key, answer) {
    if (redis?.status !== 'ready') return
    const text = JSON.stringify(answer)
    if (Buffer.byteLength(text) > maxBytes) return
    redis.set(`${prefix}cache:${key}`, text, 'EX', ttlSeconds).catch(() => undefined)
  },
})
