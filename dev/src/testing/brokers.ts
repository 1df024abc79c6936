import { kafka } from '../components/kafka.ts'
import { openOwnHome } from './own-home.ts'

/** One broker of a cluster that a fault spec may hurt. */
export interface BrokerHandle {
  /** its node id in the cluster, 1 to 3 */
  id: number
  address: string
  pid(): number
  kill(signal?: NodeJS.Signals): Promise<void>
  /** starts it again on its data; resolves when it answers */
  restart(): Promise<void>
}

export interface Cluster {
  kafkaBrokers: string[]
  brokers: BrokerHandle[]
  stop(): Promise<void>
}

const ending = new Set<NodeJS.Signals>(['SIGKILL', 'SIGTERM', 'SIGINT'])

/**
 * A Kafka cluster of the spec's own: with three brokers every topic has replication 3 and min.insync.replicas 2. Stop it in
 * `afterAll`; it ends with the spec's process in any case.
 */
export const startBrokers = async (count: 1 | 3 = 3): Promise<Cluster> => {
  const { context, stop } = await openOwnHome('brokers')
  try {
    const running = await kafka.start(context, count)
    return {
      kafkaBrokers: running.brokers,
      brokers: running.nodes.map((node) => ({
        id: node.id,
        address: node.address,
        pid: () => node.process().pid,
        kill: async (signal = 'SIGKILL') => {
          const process_ = node.process()
          process_.kill(signal)
          if (ending.has(signal)) await process_.exited
        },
        restart: node.restart,
      })),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
