import { OmiumError } from '@omium/schemas'
import type { GroupMember, GroupRequest } from '../transport.ts'
import { assignSticky, decodeAssignment, decodeClaimant, encodeAssignment, encodeMemberMetadata } from './assignment.ts'
import { type ConnectionOptions, createConnection, delay, type KafkaBroker } from './connection.ts'
import { brokerMayAnswerLater, describe, isType } from './errors.ts'
import { createFetcher } from './fetcher.ts'

/**
 * Membership of a consumer group, by Kafka's group protocol (JoinGroup, SyncGroup, Heartbeat, OffsetCommit).
 *
 * 1. Heartbeats run on their own timer and socket: handlers and long fetches do not delay them.
 * 2. During a rebalance what the member holds goes on being delivered; who owns is decided by claims, not by the group.
 * 3. A partition that is new to the member starts at its committed offset, else at the first record on the log.
 * 4. Commits carry member and generation: the broker refuses them from whoever is not a member any more.
 * 5. A member that did not run for a session (stopped, suspended) says so itself (`onLost`) as soon as it runs again. One
 *    that runs but cannot reach the coordinator waits longer: coordinators fail over, and then give every member a new
 *    session.
 */

export interface GroupOptions extends ConnectionOptions {
  readonly connectWithinMs: number
  readonly maxWaitMs: number
}

interface Membership {
  readonly coordinator: KafkaBroker
  readonly memberId: string
  readonly generation: number
}

const protocolName = 'omium-copartitioned'
/** how long after a session a coordinator may be away before its members give up what they hold, ms */
const coordinatorGraceMs = 10_000

/** The member is unknown to the group, or was left behind by it: it starts anew, with nothing. */
const membershipEnded = (error: unknown) =>
  isType(error, 'UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID', 'INCONSISTENT_GROUP_PROTOCOL')

export const joinKafkaGroup = async (options: GroupOptions, request: GroupRequest): Promise<GroupMember> => {
  const { groupId, topics, sessionTimeoutMs } = request
  const heartbeatMs = Math.max(100, Math.min(3000, Math.floor(sessionTimeoutMs / 5)))
  const rebalanceTimeoutMs = Math.max(sessionTimeoutMs, 3000)
  // a reply that does not come must be noticed well within the session
  const requestTimeoutMs = Math.max(500, Math.min(options.requestTimeoutMs, Math.floor(sessionTimeoutMs / 2)))
  // two connections: the coordinator answers joins late on purpose, and fetching goes on meanwhile
  const control = createConnection({ ...options, requestTimeoutMs })
  const data = createConnection(options)
  const { cluster } = control

  try {
    await Promise.all([control.open(topics, options.connectWithinMs), data.open(topics, options.connectWithinMs)])
  } catch (error) {
    control.destroy()
    data.destroy()
    throw error
  }

  const counts = new Set(topics.map((topic) => cluster.findTopicPartitionMetadata(topic).length))
  const partitionCount = [...counts][0] ?? 0
  if (counts.size !== 1 || partitionCount === 0) {
    control.destroy()
    data.destroy()
    throw new RangeError(`${topics.join(', ')} must exist with equal numbers of partitions`)
  }

  let membership: Membership | undefined
  let held: readonly number[] = []
  let heldGeneration = -1
  let lastMemberId = ''
  let lastHeartbeatMs = 0
  let lastRunMs = performance.now()
  let leaving = false
  let onMembership: () => void = () => {}
  let interrupt: () => void = () => {}

  const fetcher = createFetcher({
    connection: data,
    maxWaitMs: options.maxWaitMs,
    onNotice: options.onNotice,
    onHalted: (topic, partition, error) => request.onHalted?.(topic, partition, error),
    deliver: (batch) => request.onBatch(batch),
  })

  const lose = (reason: string) => {
    membership = undefined
    heldGeneration = -1
    if (held.length === 0) return
    for (const topic of topics) for (const partition of held) fetcher.remove(topic, partition)
    options.onNotice({
      level: 'warn',
      message: `this member fell out of group ${groupId}; it joins again`,
      fields: { groupId, partitions: held, reason },
    })
    held = []
    request.onLost()
  }

  const join = async () => {
    const coordinator = await cluster.findGroupCoordinator({ groupId })
    const joined = await coordinator.joinGroup({
      groupId,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs,
      memberId: lastMemberId,
      groupProtocols: [
        {
          name: protocolName,
          metadata: encodeMemberMetadata(topics, { generation: heldGeneration, partitions: held }),
        },
      ],
    })
    lastMemberId = joined.memberId
    lastHeartbeatMs = performance.now()
    const isLeader = joined.leaderId === joined.memberId
    const assignment = isLeader
      ? assignSticky(
          partitionCount,
          joined.members.map(({ memberId, memberMetadata }) => decodeClaimant(memberId, memberMetadata)),
        )
      : new Map<string, number[]>()
    const synced = await coordinator.syncGroup({
      groupId,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupAssignment: [...assignment].map(([memberId, partitions]) => ({
        memberId,
        memberAssignment: encodeAssignment(topics, partitions),
      })),
    })
    lastHeartbeatMs = performance.now()
    return {
      coordinator,
      memberId: joined.memberId,
      generation: joined.generationId,
      partitions: decodeAssignment(synced.memberAssignment, topics),
    }
  }

  const committedOf = async (
    coordinator: KafkaBroker,
    wanted: readonly { topic: string; partition: number }[],
  ): Promise<Map<string, number>> => {
    const committed = new Map<string, number>()
    if (wanted.length === 0) return committed
    const { responses } = await coordinator.offsetFetch({
      groupId,
      topics: topics.map((topic) => ({
        topic,
        partitions: wanted.filter((one) => one.topic === topic).map(({ partition }) => ({ partition })),
      })),
    })
    for (const { topic, partitions } of responses) {
      for (const { partition, offset } of partitions) {
        if (Number(offset) >= 0) committed.set(`${topic}/${partition}`, Number(offset))
      }
    }
    return committed
  }

  const startOffsets = async (coordinator: KafkaBroker, partitions: readonly number[]) => {
    const starts = await committedOf(
      coordinator,
      topics.flatMap((topic) => partitions.map((partition) => ({ topic, partition }))),
    )
    const missing = topics.flatMap((topic) => {
      const open = partitions.filter((partition) => !starts.has(`${topic}/${partition}`))
      return open.length ? [{ topic, partitions: open.map((partition) => ({ partition })), fromBeginning: true }] : []
    })
    if (missing.length > 0) {
      for (const { topic, partitions: found } of await cluster.fetchTopicsOffset(missing)) {
        for (const { partition, offset } of found) starts.set(`${topic}/${partition}`, Number(offset))
      }
    }
    return starts
  }

  const takeOver = async () => {
    const before = held
    const { partitions, ...joined } = await join()
    const fresh = partitions.filter((partition) => !held.includes(partition))
    const starts = await startOffsets(joined.coordinator, fresh)
    // what was held meanwhile went: its offsets were not asked for
    if (held !== before) return
    for (const topic of topics) {
      for (const partition of held) if (!partitions.includes(partition)) fetcher.remove(topic, partition)
      for (const partition of fresh) fetcher.set(topic, partition, starts.get(`${topic}/${partition}`) ?? 0)
    }
    held = partitions
    heldGeneration = joined.generation
    membership = joined
    onMembership()
    // before anything of a new partition can arrive: nothing was fetched for it yet
    request.onAssigned(partitions, member)
  }

  /** Loses what is held when this process did not run, or the coordinator did not answer, for too long. */
  const checkSession = () => {
    const now = performance.now()
    const stoodStillMs = now - lastRunMs
    const silentMs = now - lastHeartbeatMs
    lastRunMs = now
    if (membership === undefined) return
    if (stoodStillMs > sessionTimeoutMs) lose(`this process stood still for ${Math.round(stoodStillMs)} ms`)
    else if (silentMs > sessionTimeoutMs + coordinatorGraceMs) lose('the coordinator does not answer')
  }

  /** Returns when the group rebalances; throws when membership is lost or the coordinator is gone. */
  const beat = async (current: Membership): Promise<void> => {
    while (!leaving) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, heartbeatMs)
        interrupt = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      if (leaving) return
      if (membership !== current) return
      try {
        await current.coordinator.heartbeat({
          groupId,
          groupGenerationId: current.generation,
          memberId: current.memberId,
        })
        lastHeartbeatMs = performance.now()
      } catch (error) {
        if (isType(error, 'REBALANCE_IN_PROGRESS')) return
        throw error
      }
    }
  }

  const run = async () => {
    let pauseMs = 10
    while (!leaving) {
      try {
        await takeOver()
        pauseMs = 10
        if (membership) await beat(membership)
      } catch (error) {
        if (leaving) return
        if (membershipEnded(error)) {
          lose(describe(error))
          // otherwise the group would wait for a member that nobody is any more
          if (isType(error, 'UNKNOWN_MEMBER_ID')) lastMemberId = ''
        } else if (!isType(error, 'REBALANCE_IN_PROGRESS')) {
          if (!brokerMayAnswerLater(error)) {
            options.onNotice({
              level: 'error',
              message: `group ${groupId} cannot be joined: ${describe(error)}`,
              fields: { groupId },
            })
            pauseMs = Math.max(pauseMs, 500)
          }
          await delay(pauseMs)
          pauseMs = Math.min(pauseMs * 2, 1000)
          await control.recover(error)
        }
      }
    }
  }

  /** Asks the coordinator; waits while the group rebalances, but not longer than a session. */
  const ask = async <T>(what: string, question: (current: Membership) => Promise<T>): Promise<T> => {
    const deadline = performance.now() + sessionTimeoutMs
    for (;;) {
      if (leaving) throw new OmiumError('log_fenced', `${what}: this member left group ${groupId}`)
      const current = membership
      try {
        if (current) return await question(current)
      } catch (error) {
        if (error instanceof OmiumError) throw error
        const passing = brokerMayAnswerLater(error) || isType(error, 'REBALANCE_IN_PROGRESS') || membershipEnded(error)
        if (!passing || performance.now() > deadline) {
          throw new OmiumError(
            membershipEnded(error) ? 'log_fenced' : 'log_unreachable',
            `${what}: ${describe(error)}`,
            {
              cause: error,
            },
          )
        }
        // the heartbeat is what finds out; let it look now
        interrupt()
      }
      if (performance.now() > deadline) {
        throw new OmiumError('log_fenced', `${what}: this process is no member of group ${groupId}`)
      }
      await Promise.race([
        delay(20),
        new Promise<void>((resolve) => {
          onMembership = resolve
        }),
      ])
    }
  }

  const member: GroupMember = {
    pause: (topic, partition) => fetcher.pause(topic, partition),
    resume: (topic, partition) => fetcher.resume(topic, partition),
    seek(topic, partition, offset) {
      if (fetcher.has(topic, partition)) fetcher.set(topic, partition, offset)
    },
    commit: (topic, partition, nextOffset) =>
      ask(`commit of ${topic}/${partition}`, async ({ coordinator, memberId, generation }) => {
        if (!held.includes(partition)) {
          throw new OmiumError('log_fenced', `${topic}/${partition} is not this member's any more`)
        }
        await coordinator.offsetCommit({
          groupId,
          groupGenerationId: generation,
          memberId,
          topics: [{ topic, partitions: [{ partition, offset: String(nextOffset) }] }],
        })
      }),
    committed: (topic, partition) =>
      ask(`committed offset of ${topic}/${partition}`, async ({ coordinator }) => {
        const committed = await committedOf(coordinator, [{ topic, partition }])
        return committed.get(`${topic}/${partition}`) ?? null
      }),
    async leave() {
      if (leaving) return
      leaving = true
      clearInterval(pulse)
      interrupt()
      await fetcher.close()
      const { coordinator } = membership ?? {}
      if (coordinator && lastMemberId) {
        // without this the others wait for the session timeout; nothing worse
        await Promise.race([coordinator.leaveGroup({ groupId, memberId: lastMemberId }), delay(1000)]).catch(() => {})
      }
      control.destroy()
      await running
    },
  }

  const pulse = setInterval(checkSession, heartbeatMs)
  const running = run()
  return member
}
