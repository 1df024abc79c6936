import { OmiumError } from '@omium/schemas'

/** How many streams each tenant holds open at this process, so that none keeps the others out. */
export interface StreamSlots {
  /** @returns gives the slot back, once. @throws OmiumError `rate_limited` when the tenant holds as many as it may */
  take(tenant: string): () => void
}

export const createStreamSlots = (mostPerTenant: number): StreamSlots => {
  const held = new Map<string, number>()
  return {
    take(tenant) {
      const count = held.get(tenant) ?? 0
      if (count >= mostPerTenant)
        throw new OmiumError('rate_limited', `a tenant may hold ${mostPerTenant} streams at a time; end one first`)
      held.set(tenant, count + 1)
      let given = false
      return () => {
        if (given) return
        given = true
        const left = (held.get(tenant) ?? 1) - 1
        if (left > 0) held.set(tenant, left)
        else held.delete(tenant)
      }
    },
  }
}
