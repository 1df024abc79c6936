import type { SettledEntry } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import type { Payloads } from '../payloads.ts'
import type { RecordedStep, RunHistory } from './history.ts'
import { forkSeed, recordingsOf } from './seed.ts'

const megabyte = 1024 * 1024
const large = (path: string, bytes: number): RecordedStep => {
  const payload = { ref: { key: `payloads/${path}`, bytes, sha256: 'a'.repeat(64) } }
  const at = { path, name: path, kind: 'tool', requestHash: 'h', effect: false, input: undefined, usage: {} }
  const own: SettledEntry = {
    ...at,
    result: { type: 'value', payload },
    startedAt: 0,
    durationMs: 1,
    childId: undefined,
  }
  return { ...at, digest: 'd', failed: false, seeded: false, startedAt: 0, durationMs: 1, own, taken: null }
}
const historyOf = (...steps: RecordedStep[]): RunHistory =>
  ({ record: { id: 'run-1' }, steps, open: [], overrides: undefined }) as unknown as RunHistory

describe('what a fork takes over', () => {
  let fetched = 0
  const payloads: Payloads = {
    seal: async (_tenant, _id, value) => ({ inline: value }),
    open: async () => {
      fetched += 1
      return 'x'
    },
  }
  const big = historyOf(large('a#1', 6 * megabyte), large('b#1', 6 * megabyte))

  it('is not even fetched when it can never be carried', async () => {
    await expect(forkSeed(big, payloads, { kept: 2, anyInput: false })).rejects.toMatchObject({
      code: 'payload_too_large',
    })
    await expect(recordingsOf(big, payloads)).rejects.toMatchObject({ code: 'payload_too_large' })
    expect(fetched).toBe(0)
  })

  it('may be less of it, or another value in its place', async () => {
    expect(await forkSeed(big, payloads, { kept: 1, anyInput: false })).toHaveLength(1)
    const outputs = [{ path: 'a#1', output: 'short' }]
    expect(await forkSeed(big, payloads, { kept: 2, outputs, anyInput: false })).toMatchObject([
      { value: 'short' },
      { value: 'x' },
    ])
  })
})
