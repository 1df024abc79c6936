import { AssignerProtocol } from 'kafkajs'

/**
 * Who gets which partition of a co-partitioned group: whoever gets partition p of one topic gets p of all.
 *
 * 1. Every partition goes to exactly one member; shares differ by at most one.
 * 2. A member keeps what it has, as far as its share allows: moving a partition costs a claim and a read to the end.
 * 3. When two members say that they have a partition, the one of the later generation is believed.
 */

export interface Claimant {
  readonly memberId: string
  /** the group generation in which it was given `partitions`, -1 when it has none */
  readonly generation: number
  readonly partitions: readonly number[]
}

/** Pure and deterministic; memberId -> partitions, ascending. */
export const assignSticky = (partitionCount: number, members: readonly Claimant[]): Map<string, number[]> => {
  const result = new Map<string, number[]>()
  if (members.length === 0) return result
  const sorted = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1))
  for (const { memberId } of sorted) result.set(memberId, [])

  const holder = new Map<number, Claimant>()
  for (const member of sorted) {
    for (const partition of member.partitions) {
      if (!Number.isInteger(partition) || partition < 0 || partition >= partitionCount) continue
      const other = holder.get(partition)
      if (!other || member.generation > other.generation) holder.set(partition, member)
    }
  }
  const held = new Map(sorted.map(({ memberId }) => [memberId, [] as number[]]))
  for (let partition = 0; partition < partitionCount; partition++) {
    const member = holder.get(partition)
    if (member) held.get(member.memberId)?.push(partition)
  }

  // the larger shares go to those who already have most
  const floor = Math.floor(partitionCount / sorted.length)
  let larger = partitionCount % sorted.length
  const byHeld = [...sorted].sort((a, b) => (held.get(b.memberId)?.length ?? 0) - (held.get(a.memberId)?.length ?? 0))
  const share = new Map<string, number>()
  for (const { memberId } of byHeld) share.set(memberId, floor + (larger-- > 0 ? 1 : 0))

  const free = new Set(Array.from({ length: partitionCount }, (_, partition) => partition))
  for (const [memberId, partitions] of held) {
    for (const partition of partitions.slice(0, share.get(memberId))) {
      result.get(memberId)?.push(partition)
      free.delete(partition)
    }
  }
  for (const { memberId } of sorted) {
    const mine = result.get(memberId) as number[]
    for (const partition of free) {
      if (mine.length >= (share.get(memberId) ?? 0)) break
      mine.push(partition)
      free.delete(partition)
    }
    mine.sort((a, b) => a - b)
  }
  return result
}

/** What a member tells the leader of the group about itself, in the consumer protocol's user data. */
export const encodeMemberMetadata = (topics: readonly string[], claimant: Omit<Claimant, 'memberId'>): Buffer =>
  AssignerProtocol.MemberMetadata.encode({
    version: 1,
    topics: [...topics],
    userData: Buffer.from(JSON.stringify({ generation: claimant.generation, partitions: claimant.partitions })),
  })

export const decodeClaimant = (memberId: string, metadata: Buffer): Claimant => {
  const nothing: Claimant = { memberId, generation: -1, partitions: [] }
  try {
    const { userData } = AssignerProtocol.MemberMetadata.decode(metadata) as { userData: Buffer }
    const { generation, partitions } = JSON.parse(userData.toString()) as Claimant
    if (!Number.isInteger(generation) || !Array.isArray(partitions)) return nothing
    return { memberId, generation, partitions }
  } catch {
    return nothing // another version of the protocol: it just keeps nothing
  }
}

export const encodeAssignment = (topics: readonly string[], partitions: readonly number[]): Buffer =>
  AssignerProtocol.MemberAssignment.encode({
    version: 1,
    assignment: Object.fromEntries(topics.map((topic) => [topic, [...partitions]])),
    userData: Buffer.alloc(0),
  })

/** The partitions of an assignment, ascending. */
export const decodeAssignment = (assignment: Buffer, topics: readonly string[]): number[] => {
  const decoded = AssignerProtocol.MemberAssignment.decode(assignment)
  const first = topics[0]
  return first === undefined ? [] : [...(decoded?.assignment[first] ?? [])].sort((a, b) => a - b)
}
