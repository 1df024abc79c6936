import type { PermitCommand, PermitEvent } from '@omium/schemas'
import type { Decided } from './decision.ts'

/**
 * The pool of permits of one concurrency key of a tenant.
 *
 * 1. At most `limit` runs hold a permit, `limit` being the one that the latest request named.
 * 2. Waiting runs are served by priority, then in the order of their requests.
 * 3. A run that gave its permit back gets none again: a late duplicate of its request must not take one that nobody returns.
 */
export interface PermitPool {
  readonly tenant: string
  readonly key: string
  readonly correlationId: string
  limit: number
  readonly holders: Set<string>
  /** in the order of arrival */
  readonly queue: Map<string, number>
  /** the latest runs that gave their permit back */
  readonly released: Set<string>
}

const rememberedReleases = 1000

type PoolCommand = Extract<PermitCommand, { type: 'AcquirePermit' | 'ReleasePermit' }>

export const decidePermit = (pool: PermitPool | undefined, command: PoolCommand): Decided<PermitEvent> =>
  command.type === 'AcquirePermit' ? acquire(pool, command.data) : release(pool, command.data.executionId)

const acquire = (
  pool: PermitPool | undefined,
  data: Extract<PoolCommand, { type: 'AcquirePermit' }>['data'],
): Decided<PermitEvent> => {
  const { executionId, limit, priority } = data
  if (pool?.holders.has(executionId) || pool?.queue.has(executionId) || pool?.released.has(executionId)) {
    return { status: 'decided', events: [] }
  }
  const free = limit - (pool?.holders.size ?? 0)
  const issued = free > 0 ? issue(new Map(pool?.queue).set(executionId, priority), free) : []
  return { status: 'decided', events: [{ type: 'PermitQueued', data: { executionId, limit, priority } }, ...issued] }
}

const release = (pool: PermitPool | undefined, executionId: string): Decided<PermitEvent> => {
  if (pool?.released.has(executionId)) return { status: 'decided', events: [] }
  const waiting = new Map(pool?.queue)
  waiting.delete(executionId)
  const held = pool?.holders.has(executionId) ? 1 : 0
  const free = pool ? pool.limit - pool.holders.size + held : 0
  return {
    status: 'decided',
    events: [{ type: 'PermitReleased', data: { executionId } }, ...issue(waiting, free)],
  }
}

const issue = (waiting: Map<string, number>, free: number): PermitEvent[] => {
  if (free <= 0 || waiting.size === 0) return []
  // a stable sort keeps the order of arrival among equals
  const served = [...waiting].sort((a, b) => b[1] - a[1]).slice(0, free)
  return served.map(([executionId]) => ({ type: 'PermitIssued', data: { executionId } }))
}

export const evolvePermits = (
  pool: PermitPool | undefined,
  event: PermitEvent,
  identity: { tenant: string; key: string; correlationId: string },
): PermitPool => {
  const next: PermitPool = pool ?? {
    ...identity,
    limit: 1,
    holders: new Set(),
    queue: new Map(),
    released: new Set(),
  }
  const { executionId } = event.data
  switch (event.type) {
    case 'PermitQueued':
      next.limit = event.data.limit
      next.queue.set(executionId, event.data.priority)
      break
    case 'PermitIssued':
      next.queue.delete(executionId)
      next.holders.add(executionId)
      break
    case 'PermitReleased':
      next.queue.delete(executionId)
      next.holders.delete(executionId)
      next.released.add(executionId)
      if (next.released.size > rememberedReleases) {
        const oldest = next.released.values().next().value
        if (oldest !== undefined) next.released.delete(oldest)
      }
      break
  }
  return next
}
