import { byId, type Page } from '@omium/projection-kit'
import { byVersion, listPolicies, type PolicyRecord, policyVersions } from '@omium/projection-recoveries'
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

const answered = ({ items, ...rest }: Page<RecoveryPolicyView>) => ({ items: [...items], ...rest })

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
        const { limit, cursor } = request.query
        const { items, ...rest } = await listPolicies(reads, tenant, { limit, cursor })
        const views = items.map(policyViewOf)
        if (cursor) return { items: views, ...rest }
        const { items: own } = await policyVersions(reads, tenant, 'default', { limit: 1 })
        if (own.some(isInForce)) return { items: views, ...rest }
        // the first of all, before every name
        return answered(byId.page([builtIn, ...views], limit, (view) => [view === builtIn ? '' : view.name]))
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
        const { limit, cursor } = request.query
        const { items, ...rest } = await policyVersions(reads, tenant, name, { limit, cursor })
        const views = items.map(policyViewOf)
        if (name === 'default' && rest.nextCursor === undefined) {
          const [newest] = (await policyVersions(reads, tenant, name, { limit: 1 })).items
          const oldest = { ...builtIn, inForce: !(newest && isInForce(newest)) }
          return answered(byVersion.page([...views, oldest], limit, ({ version }) => [version]))
        }
        if (views.length === 0 && !cursor) throw new OmiumError('not_found', `there is no recovery policy ${name}`)
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
