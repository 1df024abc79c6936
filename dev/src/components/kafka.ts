import { createHash, randomBytes } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { OmiumError } from '@omium/schemas'
import { freePort } from '../ports.ts'
import { findJava, kafkaJava } from '../prerequisites.mjs'
import { waitUntilReady } from '../ready.ts'
import { type ManagedProcess, Supervisor } from '../supervisor.ts'
import { temporaryHome } from '../temporary-home.ts'
import { installOnce, mavenFolder, type Progress, runCommand } from '../tools.ts'
import type { ComponentContext, RunningComponent } from './component.ts'
import { jvmFlags } from './jvm.ts'
import { brokerCount } from './kafka-metadata.ts'

/** One broker of a cluster; each is also a KRaft controller. */
export interface Broker {
  id: number
  address: string
  /** the process of the moment: a restart makes another */
  process(): ManagedProcess
  /** starts it again on the same data and ports, and resolves when the broker answers */
  restart(): Promise<void>
}
export interface RunningKafka extends RunningComponent {
  brokers: string[]
  nodes: Broker[]
}

interface Node {
  id: number
  port: number
  controllerPort: number
}

const loggingConfig = `status = warn
shutdownHook = disable
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
`

const serverProperties = (node: Node, nodes: readonly Node[], data: string): string => {
  const count = nodes.length
  const lines: Record<string, string | number | boolean> = {
    'process.roles': 'broker,controller',
    'node.id': node.id,
    'controller.quorum.voters': nodes.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${node.port}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': data,
    // topics are made on purpose, with their partitions and retention
    'auto.create.topics.enable': false,
    'default.replication.factor': count,
    'min.insync.replicas': count > 1 ? 2 : 1,
    'offsets.topic.replication.factor': count,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': count,
    'transaction.state.log.min.isr': count > 1 ? 2 : 1,
    'transaction.state.log.num.partitions': 2,
    'share.coordinator.state.topic.replication.factor': count,
    'share.coordinator.state.topic.min.isr': count > 1 ? 2 : 1,
    // one member joins at a time on one machine: waiting for more only delays
    'group.initial.rebalance.delay.ms': 0,
    // bounds the takeover of a dead owner's partitions
    'group.min.session.timeout.ms': 1000,
    'unclean.leader.election.enable': false,
    'num.network.threads': 2,
    'num.io.threads': 4,
    'background.threads': 2,
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
    'log.cleaner.io.buffer.size': 128 * 1024,
    // a leader killed without a word is noticed by its silence
    ...(count > 1 && { 'broker.session.timeout.ms': 4000, 'broker.heartbeat.interval.ms': 500 }),
  }
  return `${Object.entries(lines)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n')}\n`
}

/** Kafka's own tool writes 16 random bytes like this. */
const clusterId = (): string => randomBytes(16).toString('base64url')

const javaFor = () => {
  const java = findJava(kafkaJava)
  if (!java) throw new OmiumError('unavailable', `Kafka needs Java ${kafkaJava} or newer`)
  return java
}

interface Prepared {
  /** folder of Kafka's jars */
  libs: string
  /** a formatted log folder to copy from */
  template: string
  /** file of loaded classes */
  classes: string | undefined
}

const prepared = async (tools: string, progress: Progress): Promise<Prepared> => {
  const libs = await mavenFolder(tools, 'kafka', progress)
  // Formatting takes a JVM three seconds and writes the same feature levels each time: it is done once, then copied.
  const template = await installOnce(
    tools,
    `${basename(libs)}-format`,
    () => progress('formatting a Kafka log folder'),
    async (into) => {
      const data = join(into, 'data')
      const config = join(into, 'server.properties')
      writeFileSync(join(into, 'log4j2.properties'), loggingConfig)
      const node = { id: 1, port: 9092, controllerPort: 9093 }
      writeFileSync(config, serverProperties(node, [node], data))
      const args = ['-cp', `${libs}/*`, `-Dlog4j2.configurationFile=${join(into, 'log4j2.properties')}`]
      await runCommand(javaFor().java, [...args, 'kafka.tools.StorageTool', 'format', '-t', clusterId(), '-c', config])
    },
  )
  const data = join(template, 'data')
  return { libs, template: data, classes: await classCache(tools, progress, libs, data) }
}

/**
 * A cache of loaded classes (JEP 514, Java 25) halves the processor time of a start; a broker that is started and stopped
 * once makes it. It is only a gain: when it can't be made, brokers start without, and a JVM that it does not fit ignores it.
 */
const classCache = async (
  tools: string,
  progress: Progress,
  libs: string,
  template: string,
): Promise<string | undefined> => {
  const java = javaFor()
  if (java.major < 25) return undefined
  const release = join(java.home, 'release')
  const version = createHash('sha256')
    .update(existsSync(release) ? readFileSync(release) : java.home)
    .digest('hex')
  const folder = await installOnce(
    tools,
    `${basename(libs)}-classes-${version.slice(0, 8)}`,
    () => progress('preparing quick starts of Kafka'),
    async (into) => {
      const scratch = temporaryHome('classes')
      const supervisor = new Supervisor()
      supervisor.removeAtEnd(scratch)
      try {
        const node = { id: 1, port: await freePort(), controllerPort: await freePort() }
        const data = join(scratch, 'data')
        format(data, template, node, clusterId())
        const config = join(scratch, 'server.properties')
        writeFileSync(config, serverProperties(node, [node], data))
        const broker = supervisor.start({
          name: 'kafka',
          command: java.java,
          args: [
            ...jvmFlags(java, 'dev', heapMb),
            `-XX:AOTCacheOutput=${join(into, 'kafka.aot')}`,
            '-cp',
            `${libs}/*`,
            'kafka.Kafka',
            config,
          ],
          cwd: scratch,
          logFile: join(scratch, 'kafka.log'),
          // it writes the cache when it ends
          graceMs: 120_000,
        })
        await waitUntilReady(broker, () => clusterIsUp(node.port, 1))
        await broker.stop()
      } catch (error) {
        rmSync(join(into, 'kafka.aot'), { force: true })
        progress(`Kafka will start more slowly: ${error instanceof Error ? error.message : String(error)}`)
      } finally {
        await supervisor.discard()
        rmSync(scratch, { recursive: true, force: true })
      }
    },
  )
  const file = join(folder, 'kafka.aot')
  return existsSync(file) ? file : undefined
}

const format = (folder: string, template: string, node: Node, cluster: string): void => {
  if (existsSync(join(folder, 'meta.properties'))) return
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  copyFileSync(join(template, 'bootstrap.checkpoint'), join(folder, 'bootstrap.checkpoint'))
  const meta = readFileSync(join(template, 'meta.properties'), 'utf8')
    .replace(/^cluster\.id=.*$/m, `cluster.id=${cluster}`)
    .replace(/^node\.id=.*$/m, `node.id=${node.id}`)
    .replace(/^directory\.id=.*$/m, `directory.id=${clusterId()}`)
  writeFileSync(join(folder, 'meta.properties'), meta)
}

/** One cluster keeps one id: a node that is formatted later must carry the same. */
const clusterOf = (data: string): string => {
  const file = join(data, 'cluster-id')
  if (!existsSync(file)) {
    mkdirSync(data, { recursive: true })
    writeFileSync(file, clusterId())
  }
  return readFileSync(file, 'utf8')
}

/** Resolves when the broker at `port` is one of at least `count` members of its cluster. */
const clusterIsUp = async (port: number, count: number): Promise<void> => {
  const brokers = await brokerCount(port)
  if (brokers < count) throw new Error(`${brokers} of ${count} brokers are up`)
}

const heapMb = 512

/** Apache Kafka in KRaft mode: one broker, or three that replicate. */
export const kafka = {
  name: 'kafka',
  prepare: async ({ tools, progress }: Pick<ComponentContext, 'tools' | 'progress'>): Promise<void> =>
    void (await prepared(tools, progress)),
  start: async (
    { layout, tools, ports, supervisor, profile, progress }: ComponentContext,
    count: 1 | 3,
  ): Promise<RunningKafka> => {
    const { libs, template, classes } = await prepared(tools, progress)
    const java = javaFor()
    const data = join(layout.data, count === 1 ? 'kafka' : `kafka-${count}-brokers`)
    const cluster = clusterOf(data)
    const all: Node[] = [
      { id: 1, port: ports.kafka, controllerPort: ports['kafka-controller'] },
      { id: 2, port: ports['kafka-2'], controllerPort: ports['kafka-2-controller'] },
      { id: 3, port: ports['kafka-3'], controllerPort: ports['kafka-3-controller'] },
    ]
    const nodes = all.slice(0, count)
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
    const logging = join(data, 'log4j2.properties')
    writeFileSync(logging, loggingConfig)

    const startNode = (node: Node): ManagedProcess => {
      const folder = join(data, `node-${node.id}`)
      format(folder, template, node, cluster)
      const config = join(data, `node-${node.id}.properties`)
      writeFileSync(config, serverProperties(node, nodes, folder))
      const name = count === 1 ? 'kafka' : `kafka-${node.id}`
      return supervisor.start({
        name,
        command: java.java,
        args: [
          ...jvmFlags(java, profile, heapMb),
          ...(classes === undefined ? [] : [`-XX:AOTCache=${classes}`, '-Xlog:aot*=error']),
          '-cp',
          `${libs}/*`,
          `-Dlog4j2.configurationFile=${logging}`,
          'kafka.Kafka',
          config,
        ],
        cwd: layout.home,
        logFile: join(layout.logs, `${name}.log`),
        graceMs: 10_000,
      })
    }

    const processes = new Map(nodes.map((node) => [node.id, startNode(node)]))
    const processOf = (id: number): ManagedProcess => {
      const found = processes.get(id)
      if (!found) throw new OmiumError('internal', `there is no broker ${id}`)
      return found
    }
    await Promise.all(nodes.map((node) => waitUntilReady(processOf(node.id), () => clusterIsUp(node.port, count))))
    return {
      brokers: addresses,
      nodes: nodes.map((node) => ({
        id: node.id,
        address: `127.0.0.1:${node.port}`,
        process: () => processOf(node.id),
        restart: async () => {
          await processOf(node.id).stop()
          processes.set(node.id, startNode(node))
          await waitUntilReady(processOf(node.id), () => clusterIsUp(node.port, 1))
        },
      })),
      get processes() {
        return [...processes.values()]
      },
    }
  },
}
