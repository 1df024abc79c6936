import type { Operations } from './generated/operations.ts'
import type { AnswerOf, Call, Http } from './http.ts'

interface Page {
  items: unknown[]
  nextCursor?: string
}
/** Operations that list something page by page. */
type Listing = {
  [O in keyof Operations]: Operations[O] extends { query: { cursor?: string | undefined }; answer: Page } ? O : never
}[keyof Operations]
type Item<O extends Listing> = AnswerOf<O> extends { items: (infer T)[] } ? T : never

/** Items of a paged list, fetched as they are read. */
export async function* pages<O extends Listing>(http: Http, operation: O, request: Call<O>): AsyncGenerator<Item<O>> {
  let cursor: string | undefined
  do {
    const { query } = request as { query?: object }
    const page: Page = await http.call(operation, { ...request, query: { ...query, cursor } } as Call<O>)
    yield* page.items as Item<O>[]
    cursor = page.nextCursor
  } while (cursor !== undefined)
}
