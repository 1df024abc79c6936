import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const main = new URL('./main.ts', import.meta.url).pathname

/** In a process of its own: the command that reproduces a failure is the one that CI runs. */
const seeds = async (from: number, count: number): Promise<Record<string, number>> => {
  const args = [main, '--seeds', String(count), '--from', String(from)]
  const run = promisify(execFile)(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 })
  const { stdout } = await run.catch((failure: { stdout?: string; message: string }) => {
    throw new Error(`${failure.message}\n${failure.stdout ?? ''}`)
  })
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')
}

test('2,000 seeds keep every promise, and the faults really happened', { timeout: 300_000 }, async () => {
  const halves = await Promise.all([seeds(1, 1_000), seeds(1_001, 1_000)])
  for (const name of [
    'doubts',
    'lost',
    'snapshots',
    'deduplicated',
    'rejected.stale_epoch',
    'rejected.version_mismatch',
  ]) {
    const total = halves.reduce((sum, counters) => sum + (counters[name] ?? 0), 0)
    expect(total, name).toBeGreaterThan(500)
  }
})
