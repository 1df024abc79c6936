import type { z } from 'zod'
import type { Http, HttpRequest } from './http.ts'

/** Items of a paged list, fetched as they are read. */
export async function* pages<T>(
  http: Http,
  path: string,
  schema: z.ZodType<{ items: T[]; nextCursor?: string | undefined }>,
  query: HttpRequest['query'],
): AsyncGenerator<T> {
  let cursor: string | undefined
  do {
    const reply = await http.json('GET', path, { query: { ...query, cursor } })
    const { items, nextCursor } = schema.parse(reply)
    yield* items
    cursor = nextCursor
  } while (cursor !== undefined)
}
