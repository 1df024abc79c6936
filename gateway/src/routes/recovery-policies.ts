import { listPolicies, policyVersions } from '@omium/projection-recoveries'
import {
  aggregateKey,
  defaultRecoveryPolicy,
  OmiumError,
  policyNameParam,
  policyReceipt,
  policyVerdictView,
  publishPolicyBody,
  type RecoveryContextCommand,
  type RecoveryPolicyView,
  recoveryPolicyView,
  validateRecoveryPolicy,
} from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import { policyViewOf } from '../recoveries/views.ts'
import { askerOf, commandIdOf } from '../requests.ts'
import type { Services } from '../services.ts'

const builtIn: RecoveryPolicyView = { name: 'default', version: 0, inForce: true, policy: defaultRecoveryPolicy }

/** Recovery policies: each publication is a version of its own, and versions never change. */
export const recoveryPolicyRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, recoveries, ids } = services
    const versionsOf = async (tenant: string, name: string): Promise<RecoveryPolicyView[]> => {
      await recoveries.untilCurrent()
      const own = (await policyVersions(reads, tenant, name)).map(policyViewOf)
      const inForce = !own.some((version) => version.inForce)
      return name === 'default' ? [...own, { ...builtIn, inForce }] : own
    }
    const send = (request: FastifyRequest, name: string, command: RecoveryContextCommand) => {
      const asker = askerOf(request)
      const aggregate = aggregateKey('policy', asker.tenant, name)
      return recoveries.execute(asker, aggregate, commandIdOf(request, ids, name), command)
    }
    const tags = ['recoveries']

    app.get(
      '/v1/recovery-policies',
      {
        config: { permission: 'recoveries:read' },
        schema: {
          tags,
          summary: 'The newest version of every policy; version 0 of `default` is the built-in one',
          response: { 200: z.object({ items: z.array(recoveryPolicyView) }) },
        },
      },
      async (request) => {
        await recoveries.untilCurrent()
        const items = (await listPolicies(reads, callerOf(request).tenant)).map(policyViewOf)
        return { items: items.some(({ name, inForce }) => name === 'default' && inForce) ? items : [builtIn, ...items] }
      },
    )

    app.get(
      '/v1/recovery-policies/:name',
      {
        config: { permission: 'recoveries:read' },
        schema: {
          tags,
          summary: 'All versions of a policy, newest first',
          params: policyNameParam,
          response: { 200: z.object({ items: z.array(recoveryPolicyView) }) },
        },
      },
      async (request) => {
        const { name } = request.params
        const items = await versionsOf(callerOf(request).tenant, name)
        if (items.length === 0) throw new OmiumError('not_found', `there is no recovery policy ${name}`)
        return { items }
      },
    )

    app.post(
      '/v1/recovery-policies/validate',
      {
        config: { permission: 'recoveries:read' },
        schema: {
          tags,
          summary: 'Say everything that is wrong with a policy, without publishing it',
          body: z.object({ policy: publishPolicyBody.shape.policy }),
          response: { 200: policyVerdictView },
        },
      },
      async (request) => {
        const { policy, errors, warnings } = validateRecoveryPolicy(request.body.policy)
        return { valid: policy !== undefined, ...(policy && { policy }), errors: [...errors], warnings: [...warnings] }
      },
    )

    app.put(
      '/v1/recovery-policies/:name',
      {
        config: { permission: 'recoveries:write' },
        schema: {
          tags,
          summary: 'Publish a version of a policy; the same content again changes nothing',
          params: policyNameParam,
          body: publishPolicyBody,
          response: { 200: policyReceipt },
        },
      },
      async (request) => {
        const { name } = request.params
        const { policy: given, note, expectedVersion } = request.body
        const { policy, errors, warnings } = validateRecoveryPolicy(given)
        if (!policy) {
          const detail = errors.slice(0, 20).map(({ path, message }) => `policy${path}: ${message}`)
          throw new OmiumError('invalid_request', detail.join('; '))
        }
        const receipt = await send(request, name, {
          type: 'PublishRecoveryPolicy',
          data: {
            policy,
            ...(note !== undefined && { note }),
            ...(expectedVersion !== undefined && { expectedVersion }),
          },
        })
        return { name, ...receipt, warnings: [...warnings] }
      },
    )

    app.delete(
      '/v1/recovery-policies/:name',
      {
        config: { permission: 'recoveries:write' },
        schema: {
          tags,
          summary: 'Retire a policy: runs that name it are handled by the built-in one',
          params: policyNameParam,
          response: { 200: policyReceipt },
        },
      },
      async (request) => {
        const { name } = request.params
        return { name, ...(await send(request, name, { type: 'RetireRecoveryPolicy', data: {} })), warnings: [] }
      },
    )
  }
