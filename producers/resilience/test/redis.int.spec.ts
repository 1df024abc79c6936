import { eventually, type OwnComponent, startRedis } from '@omium/dev/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { breakerStates, connectRedis } from '../src/index.ts'

let server: OwnComponent
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server?.stop())

it('a Redis that hangs is waited for once, then away until it answers again, and seen as such', async () => {
  const errors: unknown[] = []
  const redis = connectRedis(server.url, (error) => errors.push(error))
  try {
    await eventually(() => expect(breakerStates().get('redis')).toBe(0))
    // a machine that stands still for a moment looks like a Redis that hangs
    await eventually(() => redis.set('a', '1'))
    errors.length = 0
    server.hang(true)
    await expect(redis.get('a')).rejects.toThrow('timed out')
    await eventually(() => expect(breakerStates().get('redis')).toBe(2))
    // the connection that is made to it is none: nothing waits for it
    const begunAt = performance.now()
    for (let i = 0; i < 100; i++) await expect(redis.get('a')).rejects.toThrow()
    // waiting for each would take 25 s
    expect(performance.now() - begunAt).toBeLessThan(10_000)
    expect(errors.length).toBe(1)
    server.hang(false)
    await eventually(() => expect(breakerStates().get('redis')).toBe(0))
    await eventually(async () => expect(await redis.get('a')).toBe('1'))
  } finally {
    redis.disconnect()
  }
  await eventually(() => expect(breakerStates().has('redis')).toBe(false))
})
