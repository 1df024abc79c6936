import type { AnswerOf, Http } from './http.ts'
import { messages, type StreamOptions } from './messages.ts'

/** An event of any of the tenant's executions. */
export type FollowedEvent = AnswerOf<'GET /v1/events'>['items'][number]
/** A step's event with what it used and cost, without what was asked or answered. */
export type ChargeEvent = AnswerOf<'GET /v1/charges'>['items'][number]

export interface FollowOptions extends StreamOptions {
  /** last `event.position` seen of each partition; absent: from now on */
  after?: readonly string[]
  /** false: what there is by now, then the end */
  live?: boolean
}

type Feed = 'GET /v1/events' | 'GET /v1/charges'

/**
 * Events of all of the tenant's executions, each once and in the order of its execution: first what came after `after`, then
 * live. Broken connections are resumed after the last event that was taken.
 * @throws OmiumError when the gateway refuses for good (`unauthenticated`, `forbidden`, `invalid_request`)
 */
export async function* followFeed<F extends Feed>(
  http: Http,
  feed: F,
  { after: positions = [], live = true, ...options }: FollowOptions = {},
): AsyncGenerator<AnswerOf<F>['items'][number]> {
  // also where nothing is behind: from then on it is known where the feed stood
  let after = positions.length > 0 ? positions.join() : undefined
  const { signal } = options
  for (let isLast = false; !isLast; ) {
    const page = await http.call<Feed>(feed, { query: { after, limit: 1000 }, ...(signal && { signal }) })
    yield* page.items
    after = page.after
    isLast = page.nextCursor === undefined
  }
  if (!live) return
  for await (const { type, data } of messages(http, feed.slice('GET '.length), { ...options, after }))
    if (type !== 'position') yield data as AnswerOf<F>['items'][number]
}
