import { afterEach, describe, expect, it, vi } from 'vitest'
import { createOutsideCalls, type OutsideCallsOptions } from './outside-calls.ts'
import { breakerCounts, breakerStates } from './states.ts'

const opened: { close(): void }[] = []
const calls = (options: Partial<OutsideCallsOptions> = {}) => {
  const made = createOutsideCalls({ target: 'it', timeoutMs: 5_000, retryDelayMs: 1, resetMs: 20, ...options })
  opened.push(made)
  return made
}
afterEach(() => {
  for (const one of opened.splice(0)) one.close()
})

/** Answers with what it is told to, in turn, the last for ever; counts how often it was asked. */
const other = (...answers: (string | Error)[]) => {
  const asked = vi.fn(async () => {
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (answer instanceof Error) throw answer
    return answer
  })
  return asked
}
const down = new Error('down')
const missing = new Error('missing')

describe('a call', () => {
  it('is made once, unless it may be done twice', async () => {
    const asked = other(down, 'up')
    await expect(calls().call(asked)).rejects.toBe(down)
    const made = calls({ tries: 2 })
    expect(await made.call(other(down, 'up'))).toBe('up')
    await expect(made.call(other(down, 'up'), 'once')).rejects.toBe(down)
  })

  it('is not made again for an answer', async () => {
    const asked = other(missing)
    const made = calls({ tries: 3, isFinal: (error) => error === missing })
    for (let i = 0; i < 10; i++) await expect(made.call(asked)).rejects.toBe(missing)
    expect([asked.mock.calls.length, made.state]).toEqual([10, 'closed'])
  })

  it('is given up after its time, also when it does not look at its signal', async () => {
    let aborted = false
    const made = calls({ timeoutMs: 10 })
    const deaf = made.call(
      (signal) =>
        new Promise(() => {
          signal.addEventListener('abort', () => {
            aborted = true
          })
        }),
    )
    await expect(deaf).rejects.toMatchObject({ code: 'unavailable', message: 'it did not answer within 10 ms' })
    expect(aborted).toBe(true)
  })
})

describe('something that stays down', () => {
  it('is left alone, and refused at once', async () => {
    const made = calls({ tries: 3, resetMs: 60_000 })
    const asked = other(down)
    for (let i = 0; i < 10; i++) await made.call(asked).catch(() => undefined)
    const before = asked.mock.calls.length
    expect(before).toBeLessThan(10)
    expect([made.state, breakerStates().get('it')]).toEqual(['open', 2])
    await expect(made.call(asked)).rejects.toMatchObject({ code: 'unavailable', retryable: true })
    expect(asked.mock.calls.length).toBe(before)
  })

  it('is tried again after a while', async () => {
    const made = calls({ minimumCalls: 1 })
    await expect(made.call(other(down))).rejects.toBe(down)
    await vi.waitUntil(() => made.state === 'half-open', { timeout: 15_000 })
    expect(await made.call(other('up'))).toBe('up')
    expect([made.state, breakerStates().get('it')]).toEqual(['closed', 0])
  })

  it('gets retries as a small share of the calls only', async () => {
    const made = calls({ tries: 3, errorPercent: 100, minimumCalls: 1_000_000 })
    const asked = other(down)
    for (let i = 0; i < 200; i++) await made.call(asked).catch(() => undefined)
    // all twenty that were saved up, and one for every five calls
    expect(asked.mock.calls.length).toBeLessThanOrEqual(200 + 20 + 40)
  })

  it('is seen in the worst of its states, until nobody calls it any more', async () => {
    const [one, two] = [calls({ minimumCalls: 1, resetMs: 60_000 }), calls()]
    await expect(one.call(other(down))).rejects.toBe(down)
    expect([one.state, two.state, breakerStates().get('it')]).toEqual(['open', 'closed', 2])
    expect(breakerCounts().get('it')).toEqual({ closed: 1, 'half-open': 0, open: 1 })
    one.close()
    expect(breakerStates().get('it')).toBe(0)
    two.close()
    expect(breakerStates().has('it')).toBe(false)
  })
})
