import { describe, expect, it } from 'vitest'
import { costOf, listPrices, mostInputTokens, priceOf, worstCaseOf } from './prices.ts'
import { usageOf } from './wire/chat.ts'

const named = (model: string) => priceOf(listPrices, model)

describe('prices', () => {
  it.each([
    ['gpt-4o', 2.5],
    ['gpt-4o-2024-08-06', 2.5],
    ['openai/gpt-4o-mini', 0.15],
    ['gpt-4o-mini-2024-07-18', 0.15],
    ['claude-sonnet-4-5-20250929', 3],
    ['claude-opus-4-20250514', 15],
    ['claude-opus-4-5', 5],
    ['anthropic/claude-haiku-4-5@20251001', 1],
    ['gemini-2.5-flash-lite-preview-09-2025', 0.1],
    ['gemini-2.5-pro-latest', 1.25],
  ])('of %s are known', (model, input) => {
    expect(named(model)?.input).toBe(input)
  })

  it.each(['gpt-4o-mini-tts', 'gpt-5.1', 'gpt-5-pro', 'o3-pro', 'claude-opus-4-7', 'llama3', ''])(
    'of %s are not guessed from a name that begins alike',
    (model) => {
      expect(named(model)).toBeUndefined()
    },
  )

  it('count cached tokens at their own price, and round up', () => {
    const price = { input: 3, output: 15, cachedInput: 0.3, cacheWrite: 3.75 }
    // 70 * 3 + 20 * 0.3 + 10 * 3.75 + 5 * 15
    expect(costOf(price, usageOf(100, 5, 20, 10))).toBe(Math.ceil(210 + 6 + 37.5 + 75))
    expect(costOf({ input: 0.1, output: 0.2 }, usageOf(1, 1))).toBe(1)
    expect(costOf({ input: 0.1, output: 0.2 }, usageOf(0, 0))).toBe(0)
  })

  it('are exact where floating point is not', () => {
    // 0.1 * 3 is 0.30000000000000004
    expect(costOf({ input: 0.1, output: 0 }, usageOf(30, 0))).toBe(3)
  })

  it('have a tier for long prompts', () => {
    const price = { input: 1, output: 10, above: { inputTokens: 100, input: 2, output: 20 } }
    expect(costOf(price, usageOf(100, 1))).toBe(110)
    expect(costOf(price, usageOf(101, 1))).toBe(222)
  })

  it('bound what a request may cost', () => {
    const request = { model: 'x', messages: [{ role: 'user' as const, content: 'Hello there' }], max_tokens: 100 }
    const worst = worstCaseOf({ input: 1, output: 10 }, request)
    expect(worst).toBe(mostInputTokens(request) + 1000)
    expect(worstCaseOf({ input: 1, output: 10 }, { ...request, n: 3 })).toBe(
      mostInputTokens({ ...request, n: 3 }) + 3000,
    )
  })
})
