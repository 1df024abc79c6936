import { OmiumError } from '@omium/schemas'
import type { LimitSettings, ModelSettings } from '../registry/settings.ts'
import type { Buckets, Spending } from './buckets.ts'
import { Slots } from './slots.ts'

/** What each tenant may ask for: requests and tokens a minute over all processes, calls at a time in this one. */
export interface TenantLimits {
  /**
   * @param tokens reckoned with until the call has ended
   * @returns ends the call, with the tokens that it really took
   * @throws OmiumError `rate_limited`
   */
  admit(tenant: string, tokens: number, signal: AbortSignal): Promise<(used: number) => void>
}

/** calls of a tenant that may wait, for each that may run */
const queueFactor = 2

export const createTenantLimits = (settings: ModelSettings['limits'], buckets: Buckets): TenantLimits => {
  const slots = new Map<string, Slots>()
  const limitsOf = (tenant: string): LimitSettings =>
    Object.hasOwn(settings.tenants, tenant) ? (settings.tenants[tenant] ?? settings.tenant) : settings.tenant
  /** kept while a tenant has calls that run or wait */
  const takeSlot = async (tenant: string, concurrency: number, signal: AbortSignal): Promise<() => void> => {
    const mine = slots.get(tenant) ?? new Slots(tenant, concurrency, concurrency * queueFactor, 'rate_limited')
    slots.set(tenant, mine)
    const forget = (): void => {
      if (mine.taken === 0 && mine.waiting === 0 && slots.get(tenant) === mine) slots.delete(tenant)
    }
    try {
      const release = await mine.take(tenant, signal)
      return () => {
        release()
        forget()
      }
    } catch (error) {
      forget()
      throw error
    }
  }
  const tokenSpending = (tenant: string, { tokensPerMinute }: LimitSettings, amount: number): Spending[] =>
    tokensPerMinute ? [{ key: `tenant:${tenant}:tokens`, perMinute: tokensPerMinute, amount }] : []

  return {
    async admit(tenant, tokens, signal) {
      const limits = limitsOf(tenant)
      const { requestsPerMinute, concurrency } = limits
      const release = concurrency ? await takeSlot(tenant, concurrency, signal) : undefined
      const wait = await buckets.take([
        ...(requestsPerMinute ? [{ key: `tenant:${tenant}:requests`, perMinute: requestsPerMinute, amount: 1 }] : []),
        ...tokenSpending(tenant, limits, tokens),
      ])
      if (wait > 0) {
        release?.()
        throw new OmiumError('rate_limited', `the rate of model calls that your tenant may make is used up`, {
          data: { retryAfterMs: wait },
        })
      }
      return (used) => {
        release?.()
        buckets.settle(tokenSpending(tenant, limits, used - tokens))
      }
    },
  }
}
