import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { OmiumError } from '@omium/schemas'
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts'

/** Ports that a stack asks for first; a taken one moves. */
const preferredPorts = {
  kafka: 19092,
  'kafka-controller': 19093,
  'kafka-2': 19094,
  'kafka-2-controller': 19095,
  'kafka-3': 19096,
  'kafka-3-controller': 19097,
  registry: 18081,
  'registry-management': 18082,
  postgres: 15432,
  redis: 16379,
  s3: 19000,
  mail: 11025,
  gateway: 8080,
  engine: 8090,
  projections: 8091,
  models: 8092,
  checkpoints: 8093,
  workflows: 8094,
  recovery: 8096,
  identity: 8097,
  webhooks: 8098,
} as const
export type PortName = keyof typeof preferredPorts

/** Whether nothing listens there; a machine without such an address has nothing there. */
const canBindAt = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT'),
    )
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })

/** On both loopback addresses: what listens on the other one would be taken for ours by whoever asks `localhost`. */
const canBind = async (port: number): Promise<boolean> =>
  (await canBindAt('127.0.0.1', port)) && (await canBindAt('::1', port))

// Below the range from which systems take ports for outgoing connections (32768 on Linux, 49152 on macOS): a port that
// was free a moment ago can't be lost to one of our own clients, and a restarted broker finds its port free.
const lowest = 20_000
const highest = 32_000

/**
 * A file for each port that a process was given, with who that is. Seconds go by before something listens there; stacks that
 * start at the same time would be given the same ports.
 */
const claims = join(tmpdir(), `omium-ports-${userInfo().uid}`)
const claimed = new Set<string>()

const claim = (port: number): boolean => {
  const file = join(claims, String(port))
  try {
    writeFileSync(file, JSON.stringify(identify(process.pid)), { flag: 'wx', mode: 0o600 })
  } catch {
    if (isAbandoned(file)) rmSync(file, { force: true })
    return false
  }
  if (claimed.size === 0) process.once('exit', giveBack)
  claimed.add(file)
  return true
}

const isAbandoned = (file: string): boolean => {
  try {
    return !isRunning(JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity)
  } catch {
    // being written, or gone again
    return false
  }
}

const giveBack = (): void => {
  for (const file of claimed) rmSync(file, { force: true })
}

/**
 * A port of this machine's loopback addresses that nothing listens on, and that nobody else is given while this process runs.
 * @throws OmiumError `unavailable` when a hundred tries find none
 */
export const freePort = async (): Promise<number> => {
  mkdirSync(claims, { recursive: true, mode: 0o700 })
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest))
    if ((await canBind(port)) && claim(port)) return port
  }
  throw new OmiumError('unavailable', `no free port found on loopback between ${lowest} and ${highest}`)
}

export interface PortPlan {
  ports: Record<PortName, number>
  /** the names whose preferred port was taken */
  moved: PortName[]
}

/** A free port for each name: the preferred one where possible unless `isolated`, then always another. */
export const planPorts = async (isolated: boolean): Promise<PortPlan> => {
  const ports: Partial<Record<PortName, number>> = {}
  const moved: PortName[] = []
  for (const name of Object.keys(preferredPorts) as PortName[]) {
    const preferred = preferredPorts[name]
    const free = !isolated && (await canBind(preferred))
    const port = free ? preferred : await freePort()
    if (!free && !isolated) moved.push(name)
    ports[name] = port
  }
  return { ports: ports as Record<PortName, number>, moved }
}
