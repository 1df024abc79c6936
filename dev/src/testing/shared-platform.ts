import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestProject } from 'vitest/node'
import type { RunningStack } from '../up.ts'
import { platformOn } from './platform.ts'

/**
 * Global set-up of the end-to-end specs: one platform for all files that neither kill its processes nor need settings of their
 * own. It starts when the first of them asks for it, on the services that the run shares.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let platform: Promise<RunningStack> | undefined
  const server = createServer((_, response) => {
    const services = project.getProvidedContext().omiumStack
    // nobody kills its processes: however long a busy machine makes them stand still, they keep what they own
    const env = { OMIUM_OWNER_SESSION_TIMEOUT_MS: '20000' }
    platform ??= platformOn(services, { databaseUrl: services.databaseUrl, topicPrefix: 'shared' }, env)
    platform.then(
      ({ environment }) => response.end(JSON.stringify({ environment })),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  project.provide('omiumPlatformUrl', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  return async () => {
    server.close()
    await platform?.then(
      (running) => running.stop(),
      () => undefined,
    )
  }
}
