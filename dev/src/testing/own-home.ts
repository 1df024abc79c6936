import { rmSync } from 'node:fs'
import type { ComponentContext } from '../components/component.ts'
import { loadCredentials } from '../credentials.ts'
import { makeLayout, toolsDir } from '../layout.ts'
import { planPorts } from '../ports.ts'
import { Supervisor } from '../supervisor.ts'
import { temporaryHome } from '../temporary-home.ts'

/** Where a component of a spec's own runs: with ports, data and credentials that nobody else has; it goes with the spec's process. */
export const openOwnHome = async (
  name: string,
): Promise<{ readonly context: ComponentContext; stop(): Promise<void> }> => {
  const home = temporaryHome(name)
  const supervisor = new Supervisor()
  supervisor.removeAtEnd(home)
  const layout = makeLayout(home)
  const { ports } = await planPorts(true)
  return {
    context: {
      layout,
      tools: toolsDir(),
      ports,
      credentials: loadCredentials(layout.credentialsFile),
      supervisor,
      profile: 'test',
      progress: () => {},
    },
    stop: async () => {
      await supervisor.discard()
      rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}
