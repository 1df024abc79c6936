/**
 * The simulated consumer group: gives co-partitioned partitions to members, and is wrong about it for a while whenever
 * members come, go, stall or crash: assignments reach members at different times, so two may think that they own one.
 */
import { OmiumError } from '@omium/schemas'
import type { GroupMember, GroupRequest } from '../transport.ts'
import type { SimulatedLog } from './log.ts'
import type { Process } from './world.ts'

interface Flow {
  position: number
  paused: boolean
  /** the position was deleted; nothing is delivered until a seek */
  halted: boolean
  /** changes with every seek, so that a delivery under way does not move the position */
  seeks: number
}

const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`

class Member implements GroupMember {
  readonly request: GroupRequest
  readonly process: Process
  readonly group: SimulatedGroup
  lastSeenMs: number
  assigned: readonly number[] = []
  flows = new Map<string, Flow>()
  generation = 0

  constructor(group: SimulatedGroup, request: GroupRequest, process: Process) {
    this.group = group
    this.request = request
    this.process = process
    this.lastSeenMs = group.log.world.nowMs
  }

  pause(topic: string, partition: number): void {
    const flow = this.flows.get(keyOf(topic, partition))
    if (flow) flow.paused = true
  }

  resume(topic: string, partition: number): void {
    const flow = this.flows.get(keyOf(topic, partition))
    if (flow?.paused !== true) return
    flow.paused = false
    this.#pump(topic, partition, flow)
  }

  seek(topic: string, partition: number, offset: number): void {
    const flow = this.flows.get(keyOf(topic, partition))
    if (flow === undefined) return
    flow.position = offset
    flow.seeks++
    if (!flow.halted) return
    flow.halted = false
    this.#pump(topic, partition, flow)
  }

  commit(topic: string, partition: number, nextOffset: number): Promise<void> {
    const { log } = this.group
    return new Promise((resolve, reject) => {
      log.world.after(log.delay(), () => {
        const fails = log.world.random.chance(log.faults.commitFails) || !this.group.holds(this, partition)
        if (!fails) this.group.commit(topic, partition, nextOffset)
        const answer = () => (fails ? reject(new OmiumError('log_unreachable', 'the commit failed')) : resolve())
        log.world.after(log.delay(), answer, this.process)
      })
    })
  }

  committed(topic: string, partition: number): Promise<number | null> {
    const { log } = this.group
    return new Promise((resolve) => {
      log.world.after(log.delay() * 2, () => resolve(this.group.committed(topic, partition)), this.process)
    })
  }

  async leave(): Promise<void> {
    this.generation++
    this.flows.clear()
    this.group.remove(this)
  }

  /** The assignment arrives at the process. */
  assign(partitions: readonly number[]): void {
    this.generation++
    this.assigned = partitions
    this.flows = new Map()
    for (const partition of partitions) {
      for (const topic of this.request.topics) {
        const position = this.group.committed(topic, partition) ?? this.group.log.first(topic, partition)
        this.flows.set(keyOf(topic, partition), { position, paused: false, halted: false, seeks: 0 })
      }
    }
    this.request.onAssigned(partitions, this)
    for (const partition of partitions) {
      for (const topic of this.request.topics) {
        const flow = this.flows.get(keyOf(topic, partition))
        if (flow) this.#pump(topic, partition, flow)
      }
    }
  }

  lose(): void {
    this.generation++
    this.flows.clear()
    this.assigned = []
    this.request.onLost()
  }

  #pump(topic: string, partition: number, flow: Flow): void {
    const { log } = this.group
    const { world } = log
    const { generation } = this
    let fetching = false
    const current = () => this.generation === generation && !flow.paused && !flow.halted
    const fetch = (): void => {
      if (fetching || !current()) return
      fetching = true
      world.after(
        log.delay(),
        () => {
          fetching = false
          if (!current()) return
          if (world.random.chance(log.faults.redelivery)) {
            flow.position = Math.min(flow.position, this.group.committed(topic, partition) ?? 0)
          }
          if (flow.position < log.first(topic, partition)) {
            flow.halted = true
            const error = new OmiumError('log_truncated', `offset ${flow.position} of ${topic}/${partition} is gone`)
            this.request.onHalted?.(topic, partition, error)
            return
          }
          const batch = log.read(topic, partition, flow.position, world.random.between(1, 5))
          if (batch.records.length === 0 || !log.isAvailable(topic, partition)) {
            if (batch.records.length > 0) world.after(10, fetch, this.process)
            else log.onceWritten(fetch)
            return
          }
          const { seeks } = flow
          flow.position = batch.nextOffset
          void Promise.resolve(this.request.onBatch(batch)).then(() => {
            if (flow.seeks === seeks && current()) flow.position = batch.nextOffset
            fetch()
          })
        },
        this.process,
      )
    }
    fetch()
  }
}

export class SimulatedGroup {
  readonly log: SimulatedLog
  readonly #members: Member[] = []
  readonly #committed = new Map<string, number>()
  readonly #onCommit: (topic: string, partition: number, nextOffset: number) => void
  #offset = 0

  constructor(log: SimulatedLog, onCommit: (topic: string, partition: number, nextOffset: number) => void) {
    this.log = log
    this.#onCommit = onCommit
  }

  join(request: GroupRequest, process: Process): GroupMember {
    const member = new Member(this, request, process)
    this.#members.push(member)
    this.#heartbeat(member)
    this.rebalance()
    return member
  }

  /** As by a heartbeat thread of the member, and the coordinator's view of it. */
  #heartbeat(member: Member): void {
    const { world } = this.log
    const { sessionTimeoutMs } = member.request
    let ended = false
    const beat = () => {
      if (ended) return
      if (!this.#members.includes(member)) {
        if (member.generation < 0) return
        ended = true
        if (member.assigned.length > 0) member.lose()
        this.#members.push(member)
        member.lastSeenMs = world.nowMs
        this.#heartbeat(member)
        this.rebalance()
        return
      }
      member.lastSeenMs = world.nowMs
      world.after(sessionTimeoutMs / 3, beat, member.process)
    }
    const watch = () => {
      if (ended || !this.#members.includes(member)) return
      if (world.nowMs - member.lastSeenMs > sessionTimeoutMs) {
        this.#members.splice(this.#members.indexOf(member), 1)
        this.rebalance()
        return
      }
      world.after(sessionTimeoutMs / 3, watch)
    }
    beat()
    watch()
  }

  remove(member: Member): void {
    const at = this.#members.indexOf(member)
    member.assigned = []
    member.generation = Number.NEGATIVE_INFINITY
    if (at < 0) return
    this.#members.splice(at, 1)
    this.rebalance()
  }

  /** Deals the partitions anew; `shift` moves them to others than before. */
  rebalance(shift = false): void {
    if (shift) this.#offset++
    const members = [...this.#members]
    for (const [index, member] of members.entries()) {
      const [firstTopic] = member.request.topics
      if (firstTopic === undefined) continue
      const count = this.log.partitionsOf(firstTopic).length
      const mine: number[] = []
      for (let p = 0; p < count; p++) if ((p + this.#offset) % members.length === index) mine.push(p)
      this.#planned.set(member, mine)
      const { world, faults } = this.log
      const late = world.random.chance(faults.lateAssignment) ? world.random.between(50, 500) : 0
      world.after(
        this.log.delay() + late,
        () => {
          if (this.#planned.get(member) === mine && this.#members.includes(member)) member.assign(mine)
        },
        member.process,
      )
    }
  }

  readonly #planned = new WeakMap<Member, readonly number[]>()

  holds(member: Member, partition: number): boolean {
    return this.#members.includes(member) && (this.#planned.get(member)?.includes(partition) ?? false)
  }

  committed(topic: string, partition: number): number | null {
    return this.#committed.get(keyOf(topic, partition)) ?? null
  }

  /** As a broker does with the offsets of a group that stood still for long. */
  forgetOffsets(): void {
    this.#committed.clear()
  }

  commit(topic: string, partition: number, nextOffset: number): void {
    this.#onCommit(topic, partition, nextOffset)
    this.#committed.set(keyOf(topic, partition), nextOffset)
  }
}
