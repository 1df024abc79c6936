import { type ServiceHandle, spawnService, stackSettings, testStack } from '@omium/dev/testing'
import {
  type AcceptedEvent,
  type CommandSender,
  type LogContext,
  logSettings,
  openCommandSender,
  openLog,
  openTail,
} from '@omium/log'
import {
  aggregateKey,
  type ExecutionContextCommand,
  type ExecutionOptions,
  executionContext,
  executionOptions,
  type JsonValue,
  readSettings,
} from '@omium/schemas'
import { tenant, tokenSecret } from './scripted-worker.ts'

/** The real log, engines in processes of their own, and eyes on everything that is accepted. */

export const partitions = 4

export interface EngineProcess {
  readonly service: ServiceHandle
  readonly url: string
}

export interface Platform {
  readonly context: LogContext
  /** every accepted event so far, in the order of arrival */
  readonly events: AcceptedEvent[]
  startEngine(env?: Record<string, string>): Promise<EngineProcess>
  command(aggregate: string, command: ExecutionContextCommand, id?: string): Promise<{ id: string }>
  start(
    executionId: string,
    agentId: string,
    options?: Partial<ExecutionOptions>,
    input?: JsonValue,
  ): Promise<{ id: string }>
  /** the first accepted event that fits, of those that came or will come */
  until(fits: (event: AcceptedEvent) => boolean, timeoutMs?: number): Promise<AcceptedEvent>
  of(executionId: string): AcceptedEvent[]
  close(): Promise<void>
}

export const runKey = (executionId: string): string => aggregateKey('execution', tenant, executionId)
export const isOf =
  (executionId: string, ...types: string[]) =>
  (event: AcceptedEvent): boolean =>
    event.envelope.aggregate === runKey(executionId) && types.includes(event.type)

export const openPlatform = async (): Promise<Platform> => {
  const settings = { ...stackSettings(), OMIUM_PARTITIONS: String(partitions) }
  const context = await openLog(readSettings(settings, logSettings), {
    definition: executionContext,
    clientId: 'spec',
    onNotice: () => undefined,
  })
  const { transport } = context
  const sender: CommandSender = await openCommandSender(context)
  const tail = await openTail(
    context,
    Array.from({ length: partitions }, (_, partition) => ({ partition, fromOffset: 0 })),
  )
  const events: AcceptedEvent[] = []
  let watchers: (() => void)[] = []
  const watching = (async () => {
    for (let batch = await tail.next(); batch; batch = await tail.next()) {
      events.push(...batch.events)
      for (const look of watchers.splice(0)) look()
    }
  })()
  const services: ServiceHandle[] = []

  const platform: Platform = {
    context,
    events,
    async startEngine(env = {}) {
      const service = await spawnService(
        'consumers/execution-engine/src/main.ts',
        {
          ...settings,
          OMIUM_REDIS_URL: testStack().redisUrl,
          OMIUM_TOKEN_SECRET: tokenSecret,
          OMIUM_ENGINE_PORT: '0',
          // however long a busy machine makes them stand still: engines keep partitions, and workers runs
          OMIUM_OWNER_SESSION_TIMEOUT_MS: '30000',
          OMIUM_WORKER_LEASE_MS: '5000',
          ...env,
        },
        { readyLine: /"msg":"ready"/, readyTimeoutMs: 90_000 },
      )
      services.push(service)
      const [, url] = await service.waitForLine(/"endpoint":"(ws:[^"]+)"/)
      return { service, url: String(url) }
    },
    async command(aggregate, command, id = context.ids('command')) {
      await sender.send({
        id,
        type: command.type,
        data: command.data,
        aggregate,
        tenant,
        actor: 'key:spec',
        correlationId: id,
      })
      return { id }
    },
    start(executionId, agentId, options = {}, input = null) {
      return platform.command(runKey(executionId), {
        type: 'StartExecution',
        data: {
          executionId,
          agentId,
          input: { inline: input },
          requestHash: 'h',
          options: executionOptions.parse(options),
        },
      })
    },
    async until(fits, timeoutMs = 30_000) {
      const deadline = performance.now() + timeoutMs
      for (let from = 0; ; ) {
        for (; from < events.length; from++) {
          const event = events[from]
          if (event && fits(event)) return event
        }
        const left = deadline - performance.now()
        if (left <= 0) {
          const last = events.slice(-20).map((event) => `${event.envelope.aggregate} ${event.type}`)
          throw new Error(`no such event within ${timeoutMs} ms; the last ones:\n${last.join('\n')}`)
        }
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, left)
          watchers.push(() => {
            clearTimeout(timer)
            resolve()
          })
        })
      }
    },
    of: (executionId) => events.filter((event) => event.envelope.aggregate === runKey(executionId)),
    async close() {
      await Promise.all(services.map((service) => service.kill()))
      watchers = []
      await tail.close()
      await watching
      await sender.close()
      await transport.close()
    },
  }
  return platform
}
