import { setMaxListeners } from 'node:events'
import type { FastifyInstance } from 'fastify'

/** Aborted when the process begins to end: whatever waits for something to happen answers with how things stand. */
export const drainSignal = (app: FastifyInstance): AbortSignal => {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  app.addHook('preClose', async () => controller.abort())
  return controller.signal
}
