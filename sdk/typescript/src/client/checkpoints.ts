import type {
  CheckpointDetail,
  CheckpointMetadata,
  CheckpointReceipt,
  CheckpointRetention,
  CheckpointVerdict,
  CheckpointView,
  ThreadReceipt,
} from '@omium/schemas'
import { toPlainJson } from '../replay/plain-json.ts'
import type { AnswerOf, Http } from './http.ts'
import { pages } from './pages.ts'

export interface CheckpointFilter {
  /** a run's own checkpoints are in the thread with its id */
  thread?: string
  namespace?: string
  kind?: 'state' | 'run'
  /** each member has to be equal */
  metadata?: CheckpointMetadata
  /** size of the pages that are fetched, 1 to 200 */
  pageSize?: number
}

export interface NewCheckpoint {
  /** the same id and state make one checkpoint, however often they are sent; minted unless given */
  id?: string
  namespace?: string
  parent?: string
  label?: string
  metadata?: CheckpointMetadata
}

interface InNamespace {
  namespace?: string
}

/** States that outlive programs. `id` may be `latest` where one is read. */
export interface Checkpoints {
  create(thread: string, state: unknown, options?: NewCheckpoint): Promise<CheckpointReceipt>
  /** All that fit, newest first, fetched page by page. */
  list(filter?: CheckpointFilter): AsyncIterable<CheckpointView>
  /** @throws OmiumError `checkpoint_unknown`, `checkpoint_corrupt` */
  get(thread: string, id?: string, options?: InNamespace): Promise<CheckpointDetail>
  /** Reads what is stored and says whether it is what was stored. */
  verify(thread: string, id: string, options?: InNamespace): Promise<CheckpointVerdict>
  /** A run goes on from there; newer checkpoints are superseded. */
  rollback(
    thread: string,
    id: string,
    options?: InNamespace & { reason?: string },
  ): Promise<AnswerOf<'POST /v1/checkpoints/{thread}/{id}/rollback'>>
  pin(thread: string, id: string, holder: string, options?: InNamespace): Promise<CheckpointReceipt>
  unpin(thread: string, id: string, holder: string, options?: InNamespace): Promise<CheckpointReceipt>
  /** What a thread keeps. */
  retention(thread: string): Promise<CheckpointRetention>
  setRetention(thread: string, retention: CheckpointRetention): Promise<ThreadReceipt>
  /** Some of a thread, or all of it. @throws OmiumError `checkpoint_needed` */
  delete(thread: string, which?: readonly { id: string; namespace?: string }[]): Promise<ThreadReceipt>
}

export const checkpointsOf = (http: Http): Checkpoints => ({
  create: (thread, state, options = {}) =>
    http.call('POST /v1/checkpoints', {
      body: { thread, ...options, state: { json: toPlainJson(state, 'the state') } },
    }),
  list: ({ pageSize, metadata, ...filter } = {}) =>
    pages(http, 'GET /v1/checkpoints', {
      query: { ...filter, limit: pageSize, metadata: metadata && JSON.stringify(metadata) },
    }),
  get: (thread, id = 'latest', query = {}) =>
    http.call('GET /v1/checkpoints/{thread}/{id}', { path: { thread, id }, query }),
  verify: (thread, id, query = {}) =>
    http.call('POST /v1/checkpoints/{thread}/{id}/verify', { path: { thread, id }, query }),
  rollback: (thread, id, { namespace, reason } = {}) => {
    const request = { path: { thread, id }, query: { namespace }, body: { reason } }
    return http.call('POST /v1/checkpoints/{thread}/{id}/rollback', request)
  },
  pin: (thread, id, holder, query = {}) =>
    http.call('POST /v1/checkpoints/{thread}/{id}/pin', { path: { thread, id }, query, body: { holder } }),
  unpin: (thread, id, holder, query = {}) =>
    http.call('POST /v1/checkpoints/{thread}/{id}/unpin', { path: { thread, id }, query, body: { holder } }),
  retention: async (thread) => (await http.call('GET /v1/threads/{thread}/retention', { path: { thread } })).retention,
  setRetention: (thread, body) => http.call('PUT /v1/threads/{thread}/retention', { path: { thread }, body }),
  delete: (thread, which) =>
    which === undefined
      ? http.call('DELETE /v1/threads/{thread}', { path: { thread } })
      : http.call('POST /v1/threads/{thread}/delete', { path: { thread }, body: { checkpoints: which } }),
})
