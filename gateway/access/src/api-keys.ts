import { type ApiKeyEntry, apiKeysById, noteApiKeyUse } from '@omium/projection-identity'
import type { Reads } from '@omium/projection-kit'
import { isKeyOf, type KeyEnvironment, OmiumError, type Pepper, parseApiKey } from '@omium/schemas'
import type { Caller } from './caller.ts'
import { inHours } from './hours.ts'
import { inRanges } from './ranges.ts'
import { type Reached, type RememberOptions, remember } from './remembered.ts'

/**
 * Who an API key belongs to.
 *
 * 1. What cannot be a key, by its form or checksum, or is of another environment, is refused without asking anybody.
 * 2. A key is found by its id and proved by its hash, compared in constant time. Keys are not remembered, entries are.
 * 3. A revoked key stops working when the log says so (`revoked`), also while the read model is behind or away; within `cacheMs`
 *    after the read model has it, should the log not be heard.
 * 4. Whatever is wrong with a key that could be one takes the same time: it does not tell which ids there are, or were.
 * 5. While the database is away, a key that was good a few minutes ago still is, unless the log says otherwise.
 */
export interface ApiKeys {
  /**
   * @returns undefined when the key is unknown, revoked or expired
   * @throws OmiumError `unauthenticated` saying why it can be no key of this installation, `forbidden` from a wrong address,
   * `outside_hours` at a wrong time
   */
  lookup(apiKey: string, address: string): Promise<Caller | undefined>
  /** The same by its id, for whoever proved it in another way. */
  find(tenant: string, keyId: string, address: string): Promise<Caller | undefined>
  /** It changed, as the log says. @param reached until the read model has it */
  changed(keyId: string, reached: Reached): void
  /** What holds for all keys of a tenant changed, as the log says. */
  tenantChanged(tenant: string, reached: Reached): void
  /** It is revoked, as the log says. */
  revoked(tenant: string, keyId: string): void
}

export interface ApiKeyOptions {
  readonly reads: Reads
  readonly peppers: readonly Pepper[]
  readonly environment: KeyEnvironment
  readonly isFollowed: RememberOptions<unknown>['isFollowed']
  readonly nowMs: () => number
  readonly cacheMs?: number
}

/** the time of the last use is as coarse as this */
const touchEveryMs = 60_000
/** longer than it takes to find an entry */
const refusalMs = 10
const mostTombstones = 10_000
const mostTouched = 10_000

const ofTenant = (tenant: string): string => `tenant:${tenant}`

export const createApiKeys = (options: ApiKeyOptions): ApiKeys => {
  const { reads, peppers, environment, isFollowed, nowMs, cacheMs = 3_000 } = options
  const entries = remember<readonly ApiKeyEntry[]>({
    ask: (keyId) => apiKeysById(reads, keyId),
    outlasts: (found) => found.length > 0,
    about: (_, found) => found.map((one) => ofTenant(one.tenant)),
    isFollowed,
    nowMs,
    cacheMs,
  })
  const touched = new Map<string, number>()
  const tombstones = new Set<string>()

  const touch = (tenant: string, keyId: string): void => {
    const id = `${tenant}/${keyId}`
    if (nowMs() - (touched.get(id) ?? 0) < touchEveryMs) return
    touched.delete(id)
    touched.set(id, nowMs())
    if (touched.size > mostTouched) touched.delete(touched.keys().next().value as string)
    // informational: a request neither waits for it nor fails with it
    noteApiKeyUse(reads, tenant, keyId).catch(() => touched.delete(id))
  }
  const isLive = ({ tenant, id, revokedAt, expiresAt }: ApiKeyEntry): boolean =>
    revokedAt === null && (expiresAt === null || expiresAt.getTime() > nowMs()) && !tombstones.has(`${tenant}/${id}`)

  /** @throws OmiumError `forbidden`, `outside_hours` */
  const admit = (entry: ApiKeyEntry | undefined, address: string): Caller | undefined => {
    if (!entry || !isLive(entry)) return undefined
    if (!inRanges(entry.ranges, address) || !inRanges(entry.tenantRanges, address))
      throw new OmiumError('forbidden', `the key ${entry.id} may not be used from this address`)
    if (!inHours(entry.hours, nowMs()) || !inHours(entry.tenantHours, nowMs()))
      throw new OmiumError('outside_hours', `the key ${entry.id} may not be used at this time`)
    touch(entry.tenant, entry.id)
    return callerFor(entry)
  }

  return {
    lookup: async (apiKey, address) => {
      const parts = parseApiKey(apiKey)
      if (!parts) throw new OmiumError('unauthenticated', 'this is no API key: it was mistyped or cut')
      if (parts.environment !== environment)
        throw new OmiumError(
          'unauthenticated',
          `this is a key of another environment: here they begin with om_${environment}_`,
        )
      const refusal = Promise.withResolvers<void>()
      // begun before the entry is looked for, so that the search leaves no trace in it
      const timer = setTimeout(refusal.resolve, refusalMs)
      try {
        const found = await entries.get(parts.keyId)
        const entry = found.find((one) => isKeyOf(apiKey, one, peppers))
        const caller = admit(entry, address)
        if (!caller) await refusal.promise
        return caller
      } finally {
        clearTimeout(timer)
      }
    },
    find: async (tenant, keyId, address) =>
      admit(
        (await entries.get(keyId)).find((one) => one.tenant === tenant),
        address,
      ),
    changed: (keyId, reached) => entries.changed(keyId, reached),
    tenantChanged: (tenant, reached) => entries.changed(ofTenant(tenant), reached),
    revoked: (tenant, keyId) => {
      tombstones.add(`${tenant}/${keyId}`)
      if (tombstones.size > mostTombstones) tombstones.delete(tombstones.values().next().value as string)
    },
  }
}

const callers = new WeakMap<ApiKeyEntry, Caller>()

/** One for as long as its entry is remembered, for all of its requests and connections. */
const callerFor = (entry: ApiKeyEntry): Caller => {
  const known = callers.get(entry)
  if (known) return known
  const { tenant, id, permissions, workflows, agents, expiresAt, ranges, hours } = entry
  const caller: Caller = {
    tenant,
    id,
    actor: `key:${id}`,
    permissions: new Set(permissions),
    limits: workflows || agents ? { workflows: workflows ?? [], agents: agents ?? [] } : undefined,
    bounds: { expiresAt: expiresAt?.getTime(), ranges, hours },
    session: undefined,
    role: undefined,
  }
  callers.set(entry, caller)
  return caller
}
