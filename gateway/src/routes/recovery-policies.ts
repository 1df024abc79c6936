import { listPolicies, type PolicyRecord, policyVersions } from '@omium/projection-recoveries'
import {
  aggregateKey,
  defaultRecoveryPolicy,
  OmiumError,
  page,
  pageQuery,
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

/** the newest version of its policy is the one that counts, unless the policy is retired */
const isInForce = (record: PolicyRecord): boolean => policyViewOf(record).inForce

/** Recovery policies: each publication is a version of its own, and versions never change. */
export const recoveryPolicyRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, recoveries, ids } = services
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
          querystring: pageQuery,
          response: { 200: page(recoveryPolicyView) },
        },
      },
      async (request) => {
        await recoveries.untilCurrent()
        const { tenant } = callerOf(request)
        const { items, ...rest } = await listPolicies(reads, tenant, request.query)
        const views = items.map(policyViewOf)
        if (request.query.cursor) return { items: views, ...rest }
        const { items: own } = await policyVersions(reads, tenant, 'default', { limit: 1 })
        return { items: own.some(isInForce) ? views : [builtIn, ...views], ...rest }
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
          querystring: pageQuery,
          response: { 200: page(recoveryPolicyView) },
        },
      },
      async (request) => {
        const { name } = request.params
        const { tenant } = callerOf(request)
        await recoveries.untilCurrent()
        const { items, ...rest } = await policyVersions(reads, tenant, name, request.query)
        const views = items.map(policyViewOf)
        if (name === 'default' && rest.nextCursor === undefined) {
          const [newest] = (await policyVersions(reads, tenant, name, { limit: 1 })).items
          views.push({ ...builtIn, inForce: !(newest && isInForce(newest)) })
        }
        if (views.length === 0 && !request.query.cursor)
          throw new OmiumError('not_found', `there is no recovery policy ${name}`)
        return { items: views, ...rest }
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
