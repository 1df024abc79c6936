import { type Caller, reaches, reachesWorkflow } from '@omium/access'
import { OmiumError } from '@omium/schemas'
import type { FastifyInstance } from 'fastify'
import { callerOf } from './auth.ts'
import { requireExecution } from './reads.ts'
import type { Services } from './services.ts'

/**
 * Holds API keys that are limited to workflows or agents to them, on every route that lets such keys in (`limitedKeys`): what
 * they do not reach is as if it did not exist, and they start nothing else. Lists are filtered where they are queried.
 */
export const installKeyLimits = (app: FastifyInstance, services: Services): void => {
  app.addHook('preHandler', async (request) => {
    if (!request.caller?.limits) return
    const caller = callerOf(request)
    const { url = '' } = request.routeOptions
    const { id } = (request.params ?? {}) as { id?: string }
    if (url.startsWith('/v1/executions/:id')) await requireReach(services, caller, id as string)
    else if (url.startsWith('/v1/workflows/:id')) {
      if (!reachesWorkflow(caller, id as string)) throw new OmiumError('workflow_unknown', `there is no workflow ${id}`)
    } else if (url === '/v1/executions' && request.method === 'POST') {
      // a workflow is started through its own route: its agent runs whatever definition it is given
      const { agent } = request.body as { agent: string }
      if (!caller.limits?.agents.includes(agent))
        throw new OmiumError('forbidden', `this API key may not start ${agent}`)
    }
  })
}

const requireReach = async (services: Services, caller: Caller, id: string): Promise<void> => {
  const execution = await requireExecution(services, caller.tenant, id)
  if (!reaches(caller, execution)) throw new OmiumError('execution_unknown', `there is no execution ${id}`)
}
