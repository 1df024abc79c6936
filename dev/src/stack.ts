import { OmiumError } from '@omium/schemas'
import type { ComponentContext } from './components/component.ts'
import { type Broker, kafka } from './components/kafka.ts'
import { postgres } from './components/postgres.ts'
import { redis } from './components/redis.ts'
import { registry } from './components/registry.ts'
import { type S3Access, s3 } from './components/s3.ts'
import type { ExternalServices } from './external.ts'
import type { ProcessIdentity } from './process-identity.ts'

/** What the platform's services connect to. */
export interface Endpoints {
  kafkaBrokers: string[]
  registryUrl: string
  databaseUrl: string
  redisUrl: string
  s3: S3Access
}

type ComponentName = 'kafka' | 'postgres' | 'registry' | 'redis' | 's3'

export interface StartedComponent {
  name: ComponentName
  external: boolean
  processes: ProcessIdentity[]
  /** from the start of the stack to its readiness */
  readyAfterMs: number
}

export interface Stack {
  endpoints: Endpoints
  components: StartedComponent[]
  /** the brokers that this stack runs itself */
  brokers: Broker[]
}

/** Fetches whatever the components run on. Slow once, then nothing. */
export const prepareStack = async (
  context: Pick<ComponentContext, 'tools' | 'progress'>,
  external: ExternalServices,
): Promise<void> => {
  // one Maven at a time: its local repository is not safe for two
  const maven = async (): Promise<void> => {
    if (!external.kafkaBrokers) await kafka.prepare(context)
    if (!external.registryUrl) await registry.prepare(context)
    if (!external.redisUrl) await redis.prepare(context)
  }
  await Promise.all([
    maven(),
    external.databaseUrl ? undefined : postgres.prepare(context),
    external.s3 ? undefined : s3.prepare(context),
  ])
}

/**
 * Starts every component that is not external, all at once but for the registry, which needs the database.
 * @param onReady told as each becomes ready
 * @throws OmiumError `unavailable` with the end of the failed component's log; what had started is left to the supervisor
 */
export const startStack = async (
  context: ComponentContext,
  external: ExternalServices,
  brokers: 1 | 3,
  onReady: (component: StartedComponent) => void = () => {},
): Promise<Stack> => {
  const begin = performance.now()
  const components: StartedComponent[] = []
  const started = async <R extends { processes: ProcessIdentity[] }>(
    name: ComponentName,
    start: Promise<R>,
  ): Promise<R> => {
    const running = await start
    const processes = running.processes.map(({ pid, startedAt }) => ({ pid, startedAt }))
    const component = { name, external: false, processes, readyAfterMs: Math.round(performance.now() - begin) }
    components.push(component)
    onReady(component)
    return running
  }
  const given = (name: ComponentName): void => {
    const component = { name, external: true, processes: [], readyAfterMs: 0 }
    components.push(component)
    onReady(component)
  }

  const database = async (): Promise<string> => {
    if (!external.databaseUrl) return (await started('postgres', postgres.start(context))).url
    given('postgres')
    return external.databaseUrl
  }
  const databaseAndRegistry = async (): Promise<{ databaseUrl: string; registryUrl: string }> => {
    const databaseUrl = await database()
    if (!external.registryUrl) {
      const running = await started('registry', registry.start(context, databaseUrl))
      return { databaseUrl, registryUrl: running.url }
    }
    given('registry')
    return { databaseUrl, registryUrl: external.registryUrl }
  }
  const log = async (): Promise<{ kafkaBrokers: string[]; nodes: Broker[] }> => {
    if (!external.kafkaBrokers) {
      const running = await started('kafka', kafka.start(context, brokers))
      return { kafkaBrokers: running.brokers, nodes: running.nodes }
    }
    given('kafka')
    return { kafkaBrokers: external.kafkaBrokers, nodes: [] }
  }
  const cache = async (): Promise<string> => {
    if (!external.redisUrl) return (await started('redis', redis.start(context))).url
    given('redis')
    return external.redisUrl
  }
  const objects = async (): Promise<S3Access> => {
    if (!external.s3) return (await started('s3', s3.start(context))).access
    given('s3')
    return external.s3
  }

  // all settle before a failure is told, so that nothing starts behind the back of whoever cleans up
  const [a, b, c, d] = await Promise.allSettled([log(), databaseAndRegistry(), cache(), objects()])
  const failures = [a, b, c, d].flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (a.status !== 'fulfilled' || b.status !== 'fulfilled' || c.status !== 'fulfilled' || d.status !== 'fulfilled') {
    if (failures.length === 1) throw failures[0]
    const texts = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure)))
    throw new OmiumError('unavailable', texts.join('\n'), { cause: failures[0] })
  }
  return {
    endpoints: { kafkaBrokers: a.value.kafkaBrokers, ...b.value, redisUrl: c.value, s3: d.value },
    components,
    brokers: a.value.nodes,
  }
}
