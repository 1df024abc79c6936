import {
  type CheckpointDetail,
  type CheckpointMetadata,
  type CheckpointReceipt,
  type CheckpointRetention,
  type CheckpointVerdict,
  type CheckpointView,
  checkpointDetail,
  checkpointReceipt,
  checkpointRetention,
  checkpointVerdict,
  checkpointView,
  page,
  rollbackReply,
  type ThreadReceipt,
  threadReceipt,
} from '@omium/schemas'
import { z } from 'zod'
import { toPlainJson } from '../replay/plain-json.ts'
import type { Http } from './http.ts'
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
  ): Promise<z.infer<typeof rollbackReply>>
  pin(thread: string, id: string, holder: string, options?: InNamespace): Promise<CheckpointReceipt>
  unpin(thread: string, id: string, holder: string, options?: InNamespace): Promise<CheckpointReceipt>
  /** What a thread keeps. */
  retention(thread: string): Promise<CheckpointRetention>
  setRetention(thread: string, retention: CheckpointRetention): Promise<ThreadReceipt>
  /** Some of a thread, or all of it. @throws OmiumError `checkpoint_needed` */
  delete(thread: string, which?: readonly { id: string; namespace?: string }[]): Promise<ThreadReceipt>
}

const checkpointsPage = page(checkpointView)
const retentionReply = z.object({ retention: checkpointRetention })

export const checkpointsOf = (http: Http): Checkpoints => {
  const at = (thread: string, id: string, what = '') =>
    `/v1/checkpoints/${encodeURIComponent(thread)}/${encodeURIComponent(id)}${what}`
  const ofThread = (thread: string, what = '') => `/v1/threads/${encodeURIComponent(thread)}${what}`
  const pinning =
    (verb: 'pin' | 'unpin') =>
    async (thread: string, id: string, holder: string, { namespace }: InNamespace = {}) =>
      checkpointReceipt.parse(
        await http.json('POST', at(thread, id, `/${verb}`), {
          query: { namespace },
          body: { holder },
        }),
      )
  return {
    async create(thread, state, options = {}) {
      const body = { thread, ...options, state: { json: toPlainJson(state, 'the state') } }
      return checkpointReceipt.parse(await http.json('POST', '/v1/checkpoints', { body }))
    },
    list: ({ pageSize, metadata, ...filter } = {}) =>
      pages(http, '/v1/checkpoints', checkpointsPage, {
        ...filter,
        limit: pageSize,
        metadata: metadata && JSON.stringify(metadata),
      }),
    get: async (thread, id = 'latest', { namespace } = {}) =>
      checkpointDetail.parse(await http.json('GET', at(thread, id), { query: { namespace } })),
    verify: async (thread, id, { namespace } = {}) =>
      checkpointVerdict.parse(await http.json('POST', at(thread, id, '/verify'), { query: { namespace }, body: {} })),
    rollback: async (thread, id, { namespace, reason } = {}) =>
      rollbackReply.parse(
        await http.json('POST', at(thread, id, '/rollback'), {
          query: { namespace },
          body: reason === undefined ? {} : { reason },
        }),
      ),
    pin: pinning('pin'),
    unpin: pinning('unpin'),
    retention: async (thread) => retentionReply.parse(await http.json('GET', ofThread(thread, '/retention'))).retention,
    setRetention: async (thread, retention) =>
      threadReceipt.parse(await http.json('PUT', ofThread(thread, '/retention'), { body: retention })),
    async delete(thread, which) {
      if (which === undefined) return threadReceipt.parse(await http.json('DELETE', ofThread(thread)))
      const body = { checkpoints: which }
      return threadReceipt.parse(await http.json('POST', ofThread(thread, '/delete'), { body }))
    },
  }
}
