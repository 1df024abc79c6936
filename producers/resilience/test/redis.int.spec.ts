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

it('is not taken for silent because this process was busy itself when the answer came', async () => {
  const redis = connectRedis(server.url, () => undefined)
  try {
    await eventually(() => expect(redis.status).toBe('ready'))
    await redis.set('b', '1')
    const asked = redis.get('b')
    // it is on its way, then nothing here is done for longer than an answer may take
    await new Promise(setImmediate)
    for (const begunAt = performance.now(); performance.now() - begunAt < 600; );
    expect(await asked).toBe('1')
  } finally {
    redis.disconnect()
  }
})

it('that is slow is waited for by those who can do nothing without it', async () => {
  const [hasty, patient] = [false, true].map((needed) => connectRedis(server.url, () => undefined, { needed }))
  try {
    for (const redis of [hasty, patient]) await eventually(() => expect(redis?.status).toBe('ready'))
    await patient?.set('c', '1')
    server.hang(true)
    const asked = patient?.get('c')
    await expect(hasty?.get('c')).rejects.toThrow('timed out')
    server.hang(false)
    expect(await asked).toBe('1')
  } finally {
    server.hang(false)
    hasty?.disconnect()
    patient?.disconnect()
  }
})
