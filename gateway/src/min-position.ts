import { logPosition, OmiumError } from '@omium/schemas'
import type { FastifyInstance } from 'fastify'
import type { GatewayContext } from './context.ts'
import type { Services } from './services.ts'

/**
 * `min_position`: every read waits, within a bound, for the position that a write was answered with, whichever gateway answered.
 * Without it a read sees what this gateway has told anybody.
 */
type ContextName = 'executions' | 'recoveries' | 'checkpoints' | 'workflows' | 'identity' | 'webhooks'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** whose read model the route reads, so whose positions `min_position` means; follows from the route's tags */
    reads?: ContextName
  }
}

const contextOfTag: Readonly<Record<string, ContextName>> = {
  executions: 'executions',
  replays: 'executions',
  agents: 'executions',
  recoveries: 'recoveries',
  checkpoints: 'checkpoints',
  workflows: 'workflows',
  schedules: 'workflows',
  triggers: 'workflows',
  webhooks: 'webhooks',
  keys: 'identity',
  tenants: 'identity',
  members: 'identity',
  sso: 'identity',
  privacy: 'identity',
}

/** To be called before any route is added. @throws RangeError for a read whose tags say nothing about what it reads */
export const installMinPosition = (app: FastifyInstance, services: Pick<Services, ContextName>): void => {
  app.addHook('onRoute', (route) => {
    const { method, url, config, schema } = route
    const { tags = [], hide } = (schema ?? {}) as { tags?: readonly string[]; hide?: boolean }
    if (method !== 'GET' || config?.permission === undefined || hide || tags.includes('streams')) return
    const reads = tags.map((tag) => contextOfTag[tag]).find((one) => one !== undefined)
    if (!reads) throw new RangeError(`${method} ${url} must have a tag that says what it reads`)
    route.config = { ...config, reads }
  })
  app.addHook('preValidation', async (request) => {
    const { reads } = request.routeOptions.config
    const given = (request.query as { min_position?: unknown } | undefined)?.min_position
    if (!reads || given === undefined) return
    const position = logPosition.safeParse(given)
    if (!position.success) throw new OmiumError('invalid_request', 'min_position: expected <partition>:<offset>')
    const context: GatewayContext = services[reads]
    await context.untilReached(position.data)
  })
}
