import type { Socket } from 'node:net'
import { OmiumError } from '@omium/schemas'
import type { LogTransport } from '../transport.ts'
import { createConnection, type Notice } from './connection.ts'
import { joinKafkaGroup } from './group.ts'
import { openKafkaProducer } from './producer.ts'
import { openKafkaReader } from './reader.ts'
import { ensureKafkaTopics, offsetsOf, offsetsSince, partitionCountOf } from './topics.ts'

export interface KafkaOptions {
  /** `host:port` of brokers to ask first */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly onNotice?: (notice: Notice) => void
  /** how a socket to a broker's advertised address is made; fault tests put a proxy between */
  readonly socketFactory?: (address: { host: string; port: number }) => Socket
  /** a request without a reply for so long has failed, ms */
  readonly requestTimeoutMs?: number
  /** an append is tried again for so long, with the same sequence numbers, before it fails in doubt, ms */
  readonly deliveryTimeoutMs?: number
  /** bytes that a reader fetches ahead of `next` */
  readonly readAheadBytes?: number
}

const connectWithinMs = 8_000
const connectionTimeoutMs = 2_000
/** Brokers answer at once when there is something; between, group members look this often whether they should read something else. */
const memberMaxWaitMs = 50
const readerMaxWaitMs = 500

/**
 * The log on Apache Kafka. Connects at once.
 * @throws OmiumError `log_unreachable` within 10 s when no broker answers
 */
export const connectKafka = async (options: KafkaOptions): Promise<LogTransport> => {
  if (options.brokers.length === 0) throw new OmiumError('log_unreachable', 'no brokers are configured')
  const shared = {
    brokers: options.brokers,
    clientId: options.clientId,
    onNotice: options.onNotice ?? (() => {}),
    ...(options.socketFactory && { socketFactory: options.socketFactory }),
    requestTimeoutMs: options.requestTimeoutMs ?? 10_000,
    connectionTimeoutMs,
    connectWithinMs,
  }
  const admin = createConnection(shared)
  try {
    await admin.open([], connectWithinMs)
  } catch (error) {
    admin.destroy()
    throw error
  }

  const open = new Set<() => Promise<void>>()
  let closed = false
  const track = <T>(opened: T, close: () => Promise<void>): T => {
    open.add(close)
    return opened
  }
  const refuseWhenClosed = () => {
    if (closed) throw new OmiumError('log_unreachable', 'the connection to the log was closed')
  }

  return {
    async openProducer() {
      refuseWhenClosed()
      const producer = await openKafkaProducer({ ...shared, deliveryTimeoutMs: options.deliveryTimeoutMs ?? 30_000 })
      const close = async () => {
        open.delete(close)
        await producer.close()
      }
      return track({ append: producer.append, close }, close)
    },
    async openReader(requests) {
      refuseWhenClosed()
      const reader = await openKafkaReader(
        { ...shared, maxWaitMs: readerMaxWaitMs, bufferBytes: options.readAheadBytes ?? 8 * 1024 * 1024 },
        requests,
      )
      const close = async () => {
        open.delete(close)
        await reader.close()
      }
      return track({ next: reader.next, close }, close)
    },
    async joinGroup(request) {
      refuseWhenClosed()
      const member = await joinKafkaGroup({ ...shared, maxWaitMs: memberMaxWaitMs }, request)
      open.add(member.leave)
      return member
    },
    async startOffsets(topic) {
      refuseWhenClosed()
      return offsetsOf(admin, topic, 'first', connectWithinMs)
    },
    async endOffsets(topic) {
      refuseWhenClosed()
      return offsetsOf(admin, topic, 'end', connectWithinMs)
    },
    async offsetsSince(topic, sinceMs) {
      refuseWhenClosed()
      return offsetsSince(admin, topic, sinceMs, connectWithinMs)
    },
    async partitionCount(topic) {
      refuseWhenClosed()
      return partitionCountOf(admin, topic, connectWithinMs)
    },
    async ensureTopics(topics) {
      refuseWhenClosed()
      await ensureKafkaTopics(admin, topics, connectWithinMs)
    },
    async close() {
      if (closed) return
      closed = true
      await Promise.allSettled([...open].map((close) => close()))
      admin.destroy()
    },
  }
}
