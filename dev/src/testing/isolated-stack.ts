import { rmSync } from 'node:fs'
import { loadCredentials } from '../credentials.ts'
import { keepFailedLogs } from '../failed-logs.ts'
import { makeLayout, toolsDir } from '../layout.ts'
import { planPorts } from '../ports.ts'
import { type Endpoints, prepareStack, type Stack, startStack } from '../stack.ts'
import { Supervisor } from '../supervisor.ts'
import { temporaryHome } from '../temporary-home.ts'
import type { Progress } from '../tools.ts'

export interface IsolatedStack extends Stack {
  home: string
  supervisor: Supervisor
  endpoints: Endpoints
  stop(): Promise<void>
}

/**
 * A whole stack of its own: own ports, own temporary state, one broker, external settings of the environment ignored. It is
 * gone with everything it held when it is stopped or when this process ends, however it ends.
 */
export const startIsolatedStack = async ({ progress }: { progress: Progress }): Promise<IsolatedStack> => {
  const tools = toolsDir()
  await prepareStack({ tools, progress }, {})
  const begin = performance.now()
  const home = temporaryHome('test')
  const supervisor = new Supervisor()
  supervisor.removeAtEnd(home)
  const layout = makeLayout(home)
  const { ports } = await planPorts(true)
  const credentials = loadCredentials(layout.credentialsFile)
  const stop = async (): Promise<void> => {
    await supervisor.discard()
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
  try {
    const stack = await startStack({ layout, tools, ports, credentials, supervisor, profile: 'test', progress }, {}, 1)
    const times = stack.components.map(({ name, readyAfterMs }) => `${name} ${(readyAfterMs / 1000).toFixed(1)} s`)
    progress(`test stack up after ${((performance.now() - begin) / 1000).toFixed(1)} s (${times.join(', ')})`)
    return { ...stack, home, supervisor, stop }
  } catch (error) {
    keepFailedLogs(layout.logs)
    await stop()
    throw error
  }
}
