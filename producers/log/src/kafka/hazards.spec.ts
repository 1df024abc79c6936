import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { decodeMessages } from './fetcher.ts'
import { advanceSequence } from './producer.ts'

const source = join(import.meta.dirname, '..')
const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.spec.ts'))
  .map((name) => ({ name, text: readFileSync(join(source, name), 'utf8') }))

/** What DESIGN section 3 found unsound in kafkajs 2.2.4, by the call that would use it. */
const hazards: readonly [hazard: string, use: RegExp][] = [
  [
    'transactions (a send after a failed one is acknowledged and lost; EndTxn cannot be retried)',
    /\btransactional?Id\b|\.transaction\(/,
  ],
  ['sendOffsets (not fenced)', /\bsendOffsets\b/],
  ['automatic commits', /\bautoCommit\b/],
  ['read_committed (leaks aborted records)', /READ_COMMITTED|readUncommitted:\s*false|isolationLevel:\s*1/],
  ["kafkajs's producer (two concurrent sends share a sequence)", /\.producer\(/],
  ["kafkajs's consumer loop (out of range jumps to the earliest or latest record)", /\.run\(\{/],
]

describe('the sources', () => {
  test.each(hazards)('do not use %s', (_hazard, use) => {
    const users = files.filter(({ text }) => use.test(text)).map(({ name }) => name)
    expect(users).toEqual([])
  })
})

describe('sequence numbers', () => {
  test('count the records and wrap at 2^31 like the broker does', () => {
    expect(advanceSequence(0, 3)).toBe(3)
    expect(advanceSequence(2 ** 31 - 1, 1)).toBe(0)
    expect(advanceSequence(2 ** 31 - 2, 5)).toBe(3)
  })
})

describe('fetched messages', () => {
  const message = (offset: number, firstOffset: number, lastOffsetDelta: number, isControlRecord = false) => ({
    key: Buffer.from('k'),
    value: Buffer.from(String(offset)),
    timestamp: '1700000000000',
    offset: String(offset),
    headers: { a: Buffer.from('1'), twice: [Buffer.from('old'), Buffer.from('new')] },
    isControlRecord,
    batchContext: { firstOffset: String(firstOffset), lastOffsetDelta },
  })

  test('older records of the first batch are dropped, offsets and headers become plain', () => {
    const { records, nextOffset } = decodeMessages('t', 2, 5, [message(4, 4, 1), message(5, 4, 1)])
    expect(nextOffset).toBe(6)
    expect(records).toEqual([
      {
        topic: 't',
        partition: 2,
        offset: 5,
        timestamp: 1_700_000_000_000,
        key: 'k',
        headers: { a: '1', twice: 'new' },
        value: Buffer.from('5'),
      },
    ])
  })

  test('control records and records removed from the end of a batch move the position without being delivered', () => {
    const { records, nextOffset } = decodeMessages('t', 0, 0, [message(0, 0, 0, true), message(1, 1, 4)])
    expect(records.map(({ offset }) => offset)).toEqual([1])
    expect(nextOffset).toBe(6)
  })
})
