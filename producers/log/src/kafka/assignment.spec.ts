import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  assignSticky,
  type Claimant,
  decodeAssignment,
  decodeClaimant,
  encodeAssignment,
  encodeMemberMetadata,
} from './assignment.ts'

const member = (memberId: string, generation = -1, partitions: number[] = []): Claimant => ({
  memberId,
  generation,
  partitions,
})
const claims = (assignment: Map<string, number[]>, generation: number): Claimant[] =>
  [...assignment].map(([memberId, partitions]) => ({ memberId, generation, partitions }))

describe('the co-partitioning assignment', () => {
  test('every partition goes to exactly one member, shares differ by at most one, whatever members claim', () => {
    const members = fc.uniqueArray(
      fc.record({
        memberId: fc.string({ minLength: 1, maxLength: 5 }),
        generation: fc.integer({ min: -1, max: 5 }),
        partitions: fc.array(fc.integer({ min: -2, max: 30 }), { maxLength: 30 }),
      }),
      { selector: ({ memberId }) => memberId, minLength: 1, maxLength: 8 },
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), members, (count, all) => {
        const assignment = assignSticky(count, all)
        const given = [...assignment.values()].flat().sort((a, b) => a - b)
        expect(given).toEqual(Array.from({ length: count }, (_, partition) => partition))
        const sizes = [...assignment.values()].map((partitions) => partitions.length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('nothing moves when nothing changed, and a join takes no more than the share of who joins', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 6 }), (count, size) => {
        const names = Array.from({ length: size }, (_, i) => `m${i}`)
        const first = assignSticky(
          count,
          names.map((name) => member(name)),
        )
        expect(assignSticky(count, claims(first, 1))).toEqual(first)
        const grown = assignSticky(count, [...claims(first, 1), member('late')])
        const kept = names.flatMap((name) => (grown.get(name) ?? []).filter((p) => first.get(name)?.includes(p)))
        expect(kept.length).toBe(count - (grown.get('late')?.length ?? 0))
      }),
    )
  })

  test('a member that leaves has its partitions spread, the others keep theirs', () => {
    const first = assignSticky(12, [member('a'), member('b'), member('c')])
    const after = assignSticky(
      12,
      claims(first, 1).filter(({ memberId }) => memberId !== 'b'),
    )
    for (const name of ['a', 'c']) expect(after.get(name)).toEqual(expect.arrayContaining(first.get(name) ?? []))
  })

  test('of two members that claim a partition, the one of the later generation is believed', () => {
    const assignment = assignSticky(2, [member('zombie', 3, [0, 1]), member('current', 4, [1])])
    expect(assignment.get('current')).toEqual([1])
    expect(assignment.get('zombie')).toEqual([0])
  })

  test('metadata and assignments survive the wire; foreign metadata claims nothing', () => {
    const topics = ['commands', 'events']
    const claimant = { generation: 7, partitions: [1, 4] }
    expect(decodeClaimant('m', encodeMemberMetadata(topics, claimant))).toEqual({ memberId: 'm', ...claimant })
    expect(decodeClaimant('m', Buffer.from([0, 1]))).toEqual(member('m'))
    expect(decodeAssignment(encodeAssignment(topics, [4, 1]), topics)).toEqual([1, 4])
    expect(decodeAssignment(Buffer.alloc(0), topics)).toEqual([])
  })
})
