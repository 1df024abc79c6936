import type { EventEnvelope } from '@omium/schemas'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AcceptanceFold, type AcceptanceWindows } from './acceptance.ts'

const envelope = (fields: Partial<EventEnvelope>): EventEnvelope => ({
  id: 'evt_1',
  type: 'Happened',
  schemaVersion: 1,
  tenant: 't',
  aggregate: 'execution:t/a',
  correlationId: 'c',
  actor: 'system',
  time: 0,
  version: 1,
  epoch: 1,
  ...fields,
})
const claim = (epoch: number) =>
  envelope({ type: 'PartitionClaimed', version: 0, epoch, aggregate: 'partition:system/0' })

const fold = (envelopes: readonly (EventEnvelope | undefined)[], windows?: AcceptanceWindows) => {
  const state = new AcceptanceFold(windows)
  return { state, verdicts: envelopes.map((e, offset) => state.offer(offset, e)) }
}

describe('the acceptance rule', () => {
  test('a claim is accepted exactly one epoch after the current one', () => {
    const { verdicts, state } = fold([claim(2), claim(1), claim(1), claim(3), claim(2)])
    expect(verdicts).toEqual(['claim_out_of_order', 'accepted', 'claim_out_of_order', 'claim_out_of_order', 'accepted'])
    expect(state.epoch).toBe(2)
  })

  test('records of another epoch are refused', () => {
    const { verdicts } = fold([
      envelope({ epoch: 0 }),
      claim(1),
      claim(2),
      envelope({ epoch: 1 }),
      envelope({ epoch: 3 }),
      envelope({ epoch: 2 }),
    ])
    expect(verdicts).toEqual(['accepted', 'accepted', 'accepted', 'stale_epoch', 'future_epoch', 'version_mismatch'])
  })

  test('the versions of an aggregate have no gap and no repetition', () => {
    const { verdicts, state } = fold([
      claim(1),
      envelope({ version: 2 }),
      envelope({ version: 1 }),
      envelope({ version: 1 }),
      envelope({ version: 2 }),
      envelope({ version: 1, aggregate: 'execution:t/b' }),
    ])
    expect(verdicts).toEqual(['accepted', 'version_mismatch', 'accepted', 'version_mismatch', 'accepted', 'accepted'])
    expect(state.versionOf('execution:t/a')).toBe(2)
  })

  test('what has no envelope, or a version that does not fit its type, is malformed', () => {
    const { verdicts } = fold([
      claim(1),
      undefined,
      envelope({ version: 0 }),
      envelope({ type: 'CommandRejected', version: 1, commandId: 'cmd_1' }),
      envelope({ type: 'CommandRejected', version: 0 }),
    ])
    expect(verdicts).toEqual(['accepted', 'malformed', 'malformed', 'malformed', 'malformed'])
  })

  test('a command is decided by the first accepted record that carries its id; a later rejection is refused', () => {
    const rejection = envelope({ type: 'CommandRejected', version: 0, commandId: 'cmd_1' })
    const { verdicts, state } = fold([
      claim(1),
      envelope({ commandId: 'cmd_1' }),
      rejection,
      { ...rejection, commandId: 'cmd_2' },
    ])
    expect(verdicts).toEqual(['accepted', 'accepted', 'command_already_decided', 'accepted'])
    expect(state.outcomeOf('cmd_1')).toEqual({ status: 'accepted' })
    expect(state.outcomeOf('cmd_2')).toBeNull()
    expect(state.outcomeOf('cmd_3')).toBeUndefined()
  })

  test('a deduplication is always accepted and tells the outcome to those who read it', () => {
    const deduplicated = envelope({ type: 'CommandDeduplicated', version: 0, commandId: 'cmd_1' })
    const state = new AcceptanceFold()
    state.offer(0, claim(1))
    expect(state.offer(1, deduplicated, { status: 'rejected', code: 'not_found', detail: 'd' })).toBe('accepted')
    expect(state.offer(2, deduplicated)).toBe('accepted')
    expect(state.outcomeOf('cmd_1')).toEqual({ status: 'rejected', code: 'not_found', detail: 'd' })
  })

  test('a parked aggregate accepts nothing more, others do', () => {
    const { verdicts, state } = fold([
      claim(1),
      envelope({ type: 'AggregateParked', version: 0 }),
      envelope({ type: 'AggregateParked', version: 0 }),
      envelope({ version: 1 }),
      envelope({ version: 1, aggregate: 'execution:t/b' }),
    ])
    expect(verdicts).toEqual(['accepted', 'accepted', 'parked', 'parked', 'accepted'])
    expect(state.isParked('execution:t/a')).toBe(true)
  })

  test('a parking is lifted by a later owner only, and once', () => {
    const parked = (epoch: number) => envelope({ type: 'AggregateParked', version: 0, epoch })
    const unparked = (epoch: number) => envelope({ type: 'AggregateUnparked', version: 0, epoch })
    const { verdicts } = fold([
      claim(1),
      envelope({ version: 1 }),
      unparked(1),
      parked(1),
      unparked(1),
      claim(2),
      unparked(2),
      envelope({ version: 2, epoch: 2 }),
      parked(2),
      unparked(2), // the same again, late
      envelope({ version: 3, epoch: 2 }),
    ])
    const refused = verdicts.flatMap((verdict, i) => (verdict === 'accepted' ? [] : [`${i} ${verdict}`]))
    expect(refused).toEqual(['2 not_parked', '4 not_parked', '9 not_parked', '10 parked'])
  })

  test('a closed aggregate keeps its version for a window, then starts anew', () => {
    const windows = { closedAggregates: 1, decidedCommands: 1 }
    const close = (aggregate: string) => envelope({ aggregate, closes: true })
    const { verdicts, state } = fold(
      [claim(1), close('a'), envelope({ aggregate: 'a' }), close('b'), envelope({ aggregate: 'a' })],
      windows,
    )
    expect(verdicts).toEqual(['accepted', 'accepted', 'version_mismatch', 'accepted', 'accepted'])
    expect(state.liveAggregates).toBe(1)
    expect(state.versionOf('b')).toBe(1)
  })

  test('an offset is folded once', () => {
    const state = new AcceptanceFold()
    state.offer(5, claim(1))
    expect(state.nextOffset).toBe(6)
    expect(() => state.offer(5, claim(2))).toThrow(RangeError)
  })
})

const anyEnvelope = fc.oneof(
  { arbitrary: fc.integer({ min: 0, max: 4 }).map(claim), weight: 1 },
  {
    arbitrary: fc
      .record({
        aggregate: fc.constantFrom('a', 'b', 'c', 'd'),
        version: fc.integer({ min: 1, max: 6 }),
        epoch: fc.integer({ min: 0, max: 4 }),
        commandId: fc.option(fc.constantFrom('1', '2', '3', '4', '5'), { nil: undefined }),
        closes: fc.boolean(),
      })
      .map(({ commandId, ...fields }) => envelope({ ...fields, ...(commandId !== undefined && { commandId }) })),
    weight: 8,
  },
  {
    arbitrary: fc
      .record({
        type: fc.constantFrom('CommandRejected', 'CommandDeduplicated', 'AggregateParked', 'AggregateUnparked'),
        aggregate: fc.constantFrom('a', 'b', 'c', 'd'),
        commandId: fc.constantFrom('1', '2', '3', '4', '5'),
        epoch: fc.integer({ min: 0, max: 4 }),
      })
      .map((fields) => envelope({ ...fields, version: 0 })),
    weight: 2,
  },
  { arbitrary: fc.constant(undefined), weight: 1 },
)
const windows = { closedAggregates: 2, decidedCommands: 3 }

describe('properties of the fold', () => {
  test('a reader that starts from a checkpoint anywhere agrees with one that read everything', () => {
    fc.assert(
      fc.property(fc.array(anyEnvelope, { maxLength: 60 }), fc.nat(60), (records, cut) => {
        const whole = new AcceptanceFold(windows)
        const verdicts = records.map((e, offset) => whole.offer(offset, e))
        const at = Math.min(cut, records.length)
        const head = new AcceptanceFold(windows)
        for (const [offset, e] of records.slice(0, at).entries()) head.offer(offset, e)
        const tail = new AcceptanceFold(windows).restore(head.checkpoint())
        const later = records.slice(at).map((e, i) => tail.offer(at + i, e))
        expect(later).toEqual(verdicts.slice(at))
        expect(tail.checkpoint()).toEqual(whole.checkpoint())
      }),
    )
  })

  test('repeating every record at once or later changes nothing but the log records', () => {
    fc.assert(
      fc.property(fc.array(anyEnvelope, { maxLength: 40 }), (records) => {
        const once = new AcceptanceFold()
        const accepted = records.filter(
          (e, offset) => once.offer(offset, e) === 'accepted' && e !== undefined && e.version > 0,
        )
        const twice = new AcceptanceFold()
        const doubled = records.flatMap((e) => [e, e])
        const again = doubled.filter(
          (e, offset) => twice.offer(offset, e) === 'accepted' && e !== undefined && e.version > 0,
        )
        expect(again).toEqual(accepted)
        expect(twice.epoch).toBe(once.epoch)
      }),
    )
  })

  test('an older epoch never gets anything accepted after a newer claim', () => {
    fc.assert(
      fc.property(fc.array(anyEnvelope, { maxLength: 80 }), (records) => {
        const state = new AcceptanceFold()
        let newest = 0
        for (const [offset, e] of records.entries()) {
          const verdict = state.offer(offset, e)
          if (verdict !== 'accepted' || e === undefined) continue
          expect(e.epoch).toBeGreaterThanOrEqual(newest)
          newest = e.epoch
        }
        expect(state.epoch).toBe(newest)
      }),
    )
  })
})

test('a checkpoint that was damaged, or made under other windows, is refused', () => {
  const { state } = fold([claim(1)])
  const checkpoint = state.checkpoint()
  const damaged = { ...checkpoint, body: checkpoint.body.subarray(3) }
  expect(() => new AcceptanceFold().restore(damaged)).toThrow(expect.objectContaining({ code: 'snapshot_corrupt' }))
  expect(() => new AcceptanceFold(windows).restore(checkpoint)).toThrow(
    expect.objectContaining({ code: 'snapshot_corrupt' }),
  )
})

test('a million records are folded in well under two seconds on a busy machine', () => {
  const state = new AcceptanceFold()
  state.offer(0, claim(1))
  const aggregates = Array.from({ length: 1000 }, (_, i) => `execution:t/${i}`)
  const versions = new Array<number>(1000).fill(0)
  const shared = envelope({})
  const before = process.cpuUsage()
  for (let offset = 1; offset <= 1_000_000; offset++) {
    const i = offset % 1000
    versions[i] = (versions[i] as number) + 1
    shared.aggregate = aggregates[i] as string
    shared.version = versions[i] as number
    if (state.offer(offset, shared) !== 'accepted') throw new Error('refused')
  }
  const { user } = process.cpuUsage(before)
  expect(user / 1000).toBeLessThan(2_000)
})
