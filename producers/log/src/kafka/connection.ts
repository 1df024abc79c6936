import net, { type Socket } from 'node:net'
import { OmiumError } from '@omium/schemas'
import { type Cluster, type ISocketFactory, Kafka, logLevel } from 'kafkajs'
import { brokerMayAnswerLater, describe, isType } from './errors.ts'

/**
 * One set of sockets to the cluster, with kafkajs's wire protocol on it and nothing else of kafkajs.
 *
 * 1. Only the cluster object is used: metadata, leaders, and one request at a time to one broker. kafkajs's producer and
 *    consumer are not: their retries and resets are what DESIGN section 3 lists as unsound.
 * 2. The cluster object is taken through kafkajs's public extension point, the partition assigner, which is handed it.
 * 3. `destroy` ends every socket at once: whoever waits for a reply gets an error, nothing reconnects behind our back.
 */

export interface Notice {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Record<string, unknown>
}

export interface ConnectionOptions {
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly onNotice: (notice: Notice) => void
  /** how sockets to `host:port` are made; fault tests put a proxy between */
  readonly socketFactory?: (address: { host: string; port: number }) => Socket
  /** no reply for so long: the request failed, its outcome is unknown */
  readonly requestTimeoutMs: number
  readonly connectionTimeoutMs: number
}

export interface FetchedMessage {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestamp: string
  readonly offset: string
  readonly headers: Record<string, Buffer | Buffer[]>
  readonly isControlRecord: boolean
  readonly batchContext: { readonly firstOffset: string; readonly lastOffsetDelta: number }
}

/** shorter silences are leaders moving, ms */
const outageMs = 1000

/** how long a topic that nobody knows may still be one that was just made, ms */
export const unknownTopicMs = 1500

/** What kafkajs's broker object can do for us; its own types leave out half of it. */
export interface KafkaBroker {
  initProducerId(request: { transactionTimeout: number }): Promise<{ producerId: unknown; producerEpoch: number }>
  produce(request: {
    acks: number
    timeout: number
    producerId: unknown
    producerEpoch: number
    topicData: {
      topic: string
      partitions: {
        partition: number
        firstSequence: number
        messages: { key: string | null; value: Buffer | null; headers: Record<string, string> }[]
      }[]
    }[]
  }): Promise<{ topics: { topicName: string; partitions: { partition: number; baseOffset: string }[] }[] }>
  fetch(request: {
    isolationLevel: number
    maxWaitTime: number
    minBytes: number
    maxBytes: number
    topics: { topic: string; partitions: { partition: number; fetchOffset: string; maxBytes: number }[] }[]
  }): Promise<{
    responses: {
      topicName: string
      partitions: { partition: number; highWatermark: string; messages: FetchedMessage[] }[]
    }[]
  }>
  joinGroup(request: {
    groupId: string
    sessionTimeout: number
    rebalanceTimeout: number
    memberId: string
    groupProtocols: { name: string; metadata: Buffer }[]
  }): Promise<{
    generationId: number
    leaderId: string
    memberId: string
    members: { memberId: string; memberMetadata: Buffer }[]
  }>
  syncGroup(request: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ memberAssignment: Buffer }>
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  offsetCommit(request: {
    groupId: string
    groupGenerationId: number
    memberId: string
    topics: { topic: string; partitions: { partition: number; offset: string }[] }[]
  }): Promise<unknown>
  offsetFetch(request: {
    groupId: string
    topics: { topic: string; partitions: { partition: number }[] }[]
  }): Promise<{ responses: { topic: string; partitions: { partition: number; offset: string }[] }[] }>
  createTopics(request: {
    topics: {
      topic: string
      numPartitions: number
      replicationFactor: number
      configEntries: { name: string; value: string }[]
    }[]
    timeout: number
  }): Promise<unknown>
}

export interface KafkaCluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  addMultipleTargetTopics(topics: string[]): Promise<void>
  refreshMetadata(): Promise<void>
  removeBroker(address: { host: string; port: number }): void
  findBroker(node: { nodeId: string }): Promise<KafkaBroker>
  findControllerBroker(): Promise<KafkaBroker>
  findGroupCoordinator(group: { groupId: string }): Promise<KafkaBroker>
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[]
  /** what each metadata request asks for: one topic that does not exist fails them all */
  readonly targetTopics: Set<string>
  fetchTopicsOffset(
    topics: {
      topic: string
      partitions: { partition: number }[]
      fromBeginning?: boolean
      /** the first offset of this time or a later one, -1 when there is none */
      fromTimestamp?: number
    }[],
  ): Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>
}

export interface KafkaConnection {
  readonly cluster: KafkaCluster
  readonly destroyed: boolean
  /** connects and makes the topics' metadata known; OmiumError `log_unreachable` after `withinMs` */
  open(topics: readonly string[], withinMs: number): Promise<void>
  /** after a failed request: drops what is known to be dead and learns the current leaders; never throws */
  recover(error: unknown): Promise<void>
  destroy(): void
}

const kafkajsRetry = { initialRetryTime: 5, maxRetryTime: 100, multiplier: 2, retries: 4 }

interface RequestQueue {
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests(): void
}
interface KafkajsConnection {
  readonly requestQueue: RequestQueue
  connect(): Promise<unknown>
}
interface ConnectionPoolBuilder {
  build(address?: unknown): Promise<{ pool: KafkajsConnection[] }>
}

/**
 * Mends two faults of kafkajs 2.2.4 in every connection that it makes; specs hold them and fail when its inside changes.
 *
 * It looks for throttled requests in a timer that sets itself again with a negative delay, for ever: every connection
 * wakes the process a thousand times a second, and Node warns on stderr. The timer is set only if something is pending.
 *
 * And requests that find a connection closed open it each for themselves: all sockets but the last are orphans, and the
 * end of an orphan closes the connection that works. They share one attempt.
 */
const mendConnections = (builder: ConnectionPoolBuilder): void => {
  const build = builder.build.bind(builder)
  builder.build = async (address) => {
    const connections = await build(address)
    for (const connection of connections.pool) {
      const { requestQueue } = connection
      const schedule = requestQueue.scheduleCheckPendingRequests.bind(requestQueue)
      requestQueue.scheduleCheckPendingRequests = () => {
        if (requestQueue.pending.length > 0) schedule()
      }
      const connect = connection.connect.bind(connection)
      let attempt: Promise<unknown> | undefined
      connection.connect = () => {
        attempt ??= connect().finally(() => {
          attempt = undefined
        })
        return attempt
      }
    }
    return connections
  }
}

export const delay = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

export const createConnection = (options: ConnectionOptions): KafkaConnection => {
  const sockets = new Set<Socket>()
  let destroyed = false

  const socketFactory: ISocketFactory = ({ host, port, onConnect }) => {
    if (destroyed) throw new Error('the connection was closed')
    const socket = options.socketFactory?.({ host, port }) ?? net.connect({ host, port })
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 30_000)
    // kafkajs ends a socket that is still connecting once for each request that waited for it
    socket.setMaxListeners(0)
    if (socket.connecting) socket.once('connect', onConnect)
    else setImmediate(onConnect)
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    return socket
  }

  let captured: Cluster | undefined
  const kafka = new Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    socketFactory,
    requestTimeout: options.requestTimeoutMs,
    connectionTimeout: options.connectionTimeoutMs,
    retry: kafkajsRetry,
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => {
      if (destroyed) return
      const { message, timestamp: _, stack: _stack, ...fields } = entry.log
      // what kafkajs calls an error is a retry here; errors that last are reported where they are retried
      options.onNotice({
        level: 'info',
        message: `kafka: ${message}`,
        fields: { ...fields, namespace: entry.namespace },
      })
    },
  })
  // never connected, subscribed or run: creating it is how kafkajs hands out a cluster
  kafka.consumer({
    groupId: 'unused',
    readUncommitted: true,
    allowAutoTopicCreation: false,
    maxInFlightRequests: 1,
    metadataMaxAge: 300_000,
    partitionAssigners: [
      ({ cluster }) => {
        captured = cluster
        return {
          name: 'unused',
          version: 1,
          assign: async () => [],
          protocol: () => ({ name: 'unused', metadata: Buffer.alloc(0) }),
        }
      },
    ],
  })
  if (!captured) throw new OmiumError('internal', 'kafkajs handed out no cluster')
  const cluster = captured as unknown as KafkaCluster
  mendConnections((captured as unknown as { connectionPoolBuilder: ConnectionPoolBuilder }).connectionPoolBuilder)
  let silentSinceMs: number | undefined
  let reported = false
  const reachable = (now: boolean, error?: unknown) => {
    if (destroyed) return
    const brokers = options.brokers.join(', ')
    if (now) {
      if (reported) options.onNotice({ level: 'info', message: `the brokers ${brokers} answer again`, fields: {} })
      silentSinceMs = undefined
      reported = false
      return
    }
    silentSinceMs ??= Date.now()
    if (reported || Date.now() - silentSinceMs < outageMs) return
    reported = true
    options.onNotice({ level: 'warn', message: `no broker of ${brokers} answers: ${describe(error)}`, fields: {} })
  }

  return {
    cluster,
    get destroyed() {
      return destroyed
    },

    async open(topics, withinMs) {
      const started = Date.now()
      for (;;) {
        try {
          await cluster.connect()
          if (topics.length > 0) await cluster.addMultipleTargetTopics([...topics])
          else await cluster.refreshMetadata()
          return
        } catch (error) {
          if (destroyed)
            throw new OmiumError('log_unreachable', 'the connection to the log was closed', { cause: error })
          if (!brokerMayAnswerLater(error)) {
            throw new OmiumError(
              'log_unreachable',
              `the brokers ${options.brokers.join(', ')} refuse ${topics.join(', ') || 'the connection'}: ${describe(error)}`,
              { cause: error },
            )
          }
          const waitedMs = Date.now() - started
          if (isType(error, 'UNKNOWN_TOPIC_OR_PARTITION') && waitedMs >= unknownTopicMs) {
            throw new RangeError(`the log has no topic ${topics.join(' or ')}; it must be provisioned first`)
          }
          if (waitedMs >= withinMs) {
            throw new OmiumError(
              'log_unreachable',
              `no Kafka broker answers at ${options.brokers.join(', ')} (${describe(error)}). Start the brokers, or point OMIUM_KAFKA_BROKERS at running ones`,
              { cause: error },
            )
          }
          await delay(50)
        }
      }
    },

    async recover(error) {
      const closed = error as { name?: string; host?: string; port?: number } | undefined
      if (closed?.name === 'KafkaJSConnectionClosedError' && closed.host !== undefined && closed.port !== undefined) {
        cluster.removeBroker({ host: closed.host, port: closed.port })
      }
      try {
        await cluster.connect()
        await cluster.refreshMetadata()
        reachable(true)
      } catch (failure) {
        // the next round tries again; who called decides for how long
        if (brokerMayAnswerLater(failure) && !isType(failure, 'UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE')) {
          reachable(false, failure)
        }
      }
    },

    destroy() {
      if (destroyed) return
      destroyed = true
      for (const socket of sockets) socket.destroy(new Error('the connection was closed'))
      sockets.clear()
      cluster.disconnect().catch(() => {})
    },
  }
}
