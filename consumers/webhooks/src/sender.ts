import { performance } from 'node:perf_hooks'
import { type Breaker, createBreaker, createLru } from '@omium/resilience'
import type { SafeFetch } from '@omium/safe-fetch'
import { OmiumError, type WebhookMessage } from '@omium/schemas'
import { endpointOwner, signMessage, type WebhookSecrets } from '@omium/webhook-secrets'
import { type Outcome, retryAfterOf } from './domain/attempt.ts'
import { type Endpoint, signingSecrets } from './domain/endpoint.ts'
import type { Sender } from './ports.ts'

/**
 * Sends messages as Standard Webhooks (specification 1.0.0) has it: `webhook-id`, `webhook-timestamp`, and `webhook-signature`
 * with one signature for each secret that is in force.
 *
 * 1. What a receiver answers is bounded, in bytes and time, and redirects are not followed.
 * 2. A breaker for each tenant and host fails fast while it cannot be reached: such a failure counts as an attempt like any other.
 *    Answers, whatever they say, are no reason to open it, and no tenant feels what another one's path on the same host does.
 */
export interface SenderOptions {
  readonly fetch: SafeFetch
  readonly secrets: WebhookSecrets
  readonly timeoutMs: number
  readonly nowMs: () => number
}

const longestAnswerBytes = 8192
const longestAnswer = 1000
const mostBreakers = 5000
const breakerOptions = {
  errorPercent: 60,
  windowMs: 30_000,
  resetMs: 10_000,
  // a URL that may not be called says nothing about its host
  isFinal: (error: unknown) => error instanceof OmiumError && error.code === 'address_refused',
  refusal: () =>
    new OmiumError(
      'unavailable',
      'not sent: the host could not be reached a moment ago, and is left alone for seconds',
    ),
} as const

export interface CountingSender extends Sender {
  /** hosts by the state of their breakers */
  breakers(): Readonly<Record<'open' | 'half-open' | 'closed', number>>
  close(): void
}

export const createSender = ({ fetch, secrets, timeoutMs, nowMs }: SenderOptions): CountingSender => {
  const breakers = createLru<Breaker>(mostBreakers)
  const breakerOf = ({ tenant, spec: { url } }: Endpoint) => {
    const target = `${tenant} ${URL.canParse(url) ? new URL(url).host : url}`
    return breakers.get(target, () => createBreaker({ ...breakerOptions, target }))
  }

  const requestOf = async (endpoint: Endpoint, { id, body }: WebhookMessage, at: number) => {
    const seconds = Math.floor(at / 1000)
    const { tenant, id: endpointId } = endpoint
    const open = signingSecrets(endpoint, at).map((secretId) =>
      secrets.open(tenant, endpointOwner(endpointId), secretId),
    )
    return {
      method: 'POST' as const,
      body,
      timeoutMs,
      maxBytes: longestAnswerBytes,
      tooLong: 'truncate' as const,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Omium-Webhooks/1',
        'webhook-id': id,
        'webhook-timestamp': String(seconds),
        'webhook-signature': signMessage(await Promise.all(open), { id, seconds, body }),
      },
    }
  }

  return {
    async attempt(endpoint, message) {
      const at = nowMs()
      const request = await requestOf(endpoint, message, at)
      const begin = performance.now()
      const took = () => ({ at, tookMs: Math.round(performance.now() - begin) })
      try {
        const call = () => fetch(endpoint.spec.url, request)
        const { status, headers, body } = await breakerOf(endpoint).fire(call)
        const retryAfterMs = retryAfterOf(headers['retry-after'], nowMs())
        const answer = body.toString('utf8').replaceAll('\0', '\uFFFD').slice(0, longestAnswer)
        const outcome: Outcome = { ...took(), status, ...(answer && { answer }) }
        return retryAfterMs === undefined ? outcome : { ...outcome, retryAfterMs }
      } catch (error) {
        return { ...took(), error: (error as Error).message.slice(0, longestAnswer) }
      }
    },
    breakers() {
      const counts = { open: 0, 'half-open': 0, closed: 0 }
      for (const { state } of breakers.values()) counts[state]++
      return counts
    },
    close: breakers.close,
  }
}
