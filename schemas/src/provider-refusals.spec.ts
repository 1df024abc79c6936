import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { refusalIn, refusalOf } from './provider-refusals.ts'

const now = Date.parse('2026-01-01T00:00:00Z')
const json = (value: unknown): string => JSON.stringify(value)
const openai = (message: string, type: string, code: string | null) =>
  json({ error: { message, type, param: null, code } })
const google = (code: number, status: string, message: string, details: unknown[] = []) =>
  json({ error: { code, message, status, details } })

interface Row {
  readonly provider: string
  readonly status: number
  readonly body: string
  readonly code: string
  readonly retryable: boolean
}
/** Bodies in the words of each provider's documentation; the Python SDK is held to the same file. */
const table = JSON.parse(readFileSync(new URL('provider-refusals.json', import.meta.url), 'utf8')) as Row[]

describe('refusals', () => {
  it.each(table)('of $provider: $status $body is $code', ({ status, body, code, retryable }) => {
    expect(refusalOf({ status, headers: {}, body }, now)).toMatchObject({ code, retryable })
  })

  it.each([
    ['seconds', { 'retry-after': '3' }, '', 3000],
    ['a date', { 'retry-after': 'Thu, 01 Jan 2026 00:00:10 GMT' }, '', 10_000],
    ['milliseconds, which are exact', { 'retry-after': '3', 'retry-after-ms': '2100' }, '', 2100],
    ['words', {}, openai('Rate limit reached. Please try again in 20ms.', 'tokens', 'rate_limit_exceeded'), 20],
    ["Google's details", {}, google(429, 'RESOURCE_EXHAUSTED', 'x', [{ retryDelay: '34s' }]), 34_000],
    ['a week, of which a day counts', { 'retry-after': '604800' }, '', 86_400_000],
  ])('tell when to come back in %s', (_how, headers, body, ms) => {
    expect(refusalOf({ status: 429, headers, body }, now).data).toEqual({ retryAfterMs: ms })
  })

  it('say nothing about it when the provider does not', () => {
    expect(refusalOf({ status: 429, headers: { 'retry-after': 'soon' }, body: '' }, now).data).toBeUndefined()
  })

  it('in the middle of a stream are what the provider says, or overload', () => {
    expect(refusalIn({ type: 'overloaded_error', message: 'Overloaded' }).code).toBe('model_overloaded')
    expect(refusalIn({ code: 429, message: 'slow down' }).code).toBe('model_rate_limited')
    expect(refusalIn('something').code).toBe('model_overloaded')
  })

  it('pass on at most a thousand characters of what was said', () => {
    expect(refusalOf({ status: 400, headers: {}, body: 'x'.repeat(5000) }, now).message.length).toBeLessThan(1100)
  })
})
