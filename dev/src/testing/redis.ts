import { rmSync } from 'node:fs'
import { redis } from '../components/redis.ts'
import { loadCredentials } from '../credentials.ts'
import { makeLayout, toolsDir } from '../layout.ts'
import { planPorts } from '../ports.ts'
import { Supervisor } from '../supervisor.ts'
import { temporaryHome } from '../temporary-home.ts'

/** A Redis of the spec's own, to be killed and started again at the same address. Stop it in `afterAll`. */
export interface RedisHandle {
  url: string
  kill(): Promise<void>
  restart(): Promise<void>
  /** stops answering, with its connections open; from now on, or no more */
  hang(hangs: boolean): void
  stop(): Promise<void>
}

export const startRedis = async (): Promise<RedisHandle> => {
  const home = temporaryHome('redis')
  const supervisor = new Supervisor()
  supervisor.removeAtEnd(home)
  const layout = makeLayout(home)
  const { ports } = await planPorts(true)
  const context = {
    layout,
    tools: toolsDir(),
    ports,
    credentials: loadCredentials(layout.credentialsFile),
    supervisor,
    profile: 'test' as const,
    progress: () => {},
  }
  let running = await redis.start(context)
  return {
    url: running.url,
    kill: async () => {
      for (const process_ of running.processes) {
        process_.kill('SIGKILL')
        await process_.exited
      }
    },
    hang: (hangs) => {
      for (const process_ of running.processes) process_.kill(hangs ? 'SIGSTOP' : 'SIGCONT')
    },
    restart: async () => {
      running = await redis.start(context)
    },
    stop: async () => {
      await supervisor.discard()
      rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}
