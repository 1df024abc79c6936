import { createHash, randomBytes } from 'node:crypto'
import { requireMayGive } from '@omium/access'
import { type ApiKeyRecord, apiKeysById, getApiKey, listApiKeys } from '@omium/projection-identity'
import {
  type ApiKeyCommand,
  type ApiKeyView,
  aggregateKey,
  apiKeyBytes,
  apiKeyIdBytes,
  apiKeyView,
  createApiKeyBody,
  createdApiKey,
  formatApiKey,
  hashApiKey,
  identityReceipt,
  executionIdParam as idParam,
  isKeyOf,
  type KeyScopes,
  OmiumError,
  page,
  pageQuery,
  parseApiKey,
  revokeApiKeyBody,
  rotateApiKeyBody,
  verifiedApiKey,
  verifyApiKeyBody,
} from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import { askerOf, commandIdOf, idempotencyKeyOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'

/** API keys of the caller's tenant. A key is in the answer that creates it, and nowhere else, ever. */
export const apiKeyRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, identity, apiKeys, newKeys, ids, nowMs } = services
    const tags = ['keys']

    const send = async (request: FastifyRequest, id: string, command: ApiKeyCommand) => {
      const aggregate = aggregateKey('api_key', callerOf(request).tenant, id)
      return identity.execute(askerOf(request), aggregate, commandIdOf(request, ids, id), command)
    }
    const find = async (tenant: string, id: string): Promise<ApiKeyRecord> => {
      await identity.untilCurrent(aggregateKey('api_key', tenant, id))
      const record = await getApiKey(reads, tenant, id)
      if (!record) throw new OmiumError('api_key_unknown', `there is no API key ${id}`)
      return record
    }
    type New = Omit<Extract<ApiKeyCommand, { type: 'IssueApiKey' }>['data'], 'environment' | 'prefix' | 'hash'>

    /** With an `idempotency-key` the id inside is the same for each repetition, so that there is one key; the secret never is. */
    const newKeyBytes = (request: FastifyRequest): Buffer => {
      const bytes = randomBytes(apiKeyBytes)
      if (idempotencyKeyOf(request) === undefined) return bytes
      const id = createHash('sha256')
        .update(newIdOf(request, ids, 'apiKey'))
        .digest()
      return Buffer.concat([id.subarray(0, apiKeyIdBytes), bytes.subarray(apiKeyIdBytes)])
    }

    const issue = async (request: FastifyRequest, { scopes, ...data }: New) => {
      requireMayGive(callerOf(request), { ...data, permissions: scopes.permissions })
      const key = formatApiKey(newKeys.environment, newKeyBytes(request))
      const { keyId: id, environment, prefix } = parseApiKey(key) as NonNullable<ReturnType<typeof parseApiKey>>
      const hash = hashApiKey(key, newKeys.peppers)
      const decided = await send(request, id, {
        type: 'IssueApiKey',
        data: { ...data, scopes, environment, prefix, hash },
      })
      // whoever has the key may use it at once, at every gateway that asks the read model
      const { tenant } = callerOf(request)
      await identity.untilCurrent(aggregateKey('api_key', tenant, id))
      // of a repetition the recorded key is another one, which nobody can say again
      const recorded = (await apiKeysById(reads, id)).find((one) => one.tenant === tenant)
      if (decided.deduplicated || (recorded && !isKeyOf(key, recorded, newKeys.peppers)))
        throw new OmiumError('identity_conflict', `this was done before: ${id} was shown then; revoke it if it is lost`)
      return { id, prefix, key, ...decided }
    }

    app.get(
      '/v1/keys',
      {
        config: { permission: 'keys:read' },
        schema: {
          tags,
          summary: 'List API keys, newest first',
          querystring: pageQuery,
          response: { 200: page(apiKeyView) },
        },
      },
      async (request) => {
        await identity.untilCurrent()
        const { items, ...rest } = await listApiKeys(reads, callerOf(request).tenant, request.query)
        return { items: items.map((record) => viewOf(record, nowMs())), ...rest }
      },
    )

    app.post(
      '/v1/keys',
      {
        config: { permission: 'keys:write', stepUp: true },
        schema: {
          tags,
          summary: 'Create an API key; it is shown this once',
          body: createApiKeyBody,
          response: { 201: createdApiKey },
        },
      },
      async (request, reply) => {
        const { name, scopes, expiresAt, ranges, hours } = request.body
        const created = await issue(request, {
          name,
          scopes,
          ...(expiresAt !== undefined && { expiresAt: Date.parse(expiresAt) }),
          ...(ranges && { ranges }),
          ...(hours && { hours }),
        })
        return reply.status(201).send(created)
      },
    )

    app.get(
      '/v1/keys/:id',
      {
        config: { permission: 'keys:read' },
        schema: { tags, summary: 'Get an API key, without the key', params: idParam, response: { 200: apiKeyView } },
      },
      async (request) => viewOf(await find(callerOf(request).tenant, request.params.id), nowMs()),
    )

    app.post(
      '/v1/keys/:id/rotate',
      {
        config: { permission: 'keys:write', stepUp: true },
        schema: {
          tags,
          summary: 'Create a successor with the same scopes; the old key goes on for the overlap',
          params: idParam,
          body: rotateApiKeyBody.nullish(),
          response: { 201: createdApiKey },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request)
        const { overlapMs, expiresAt } = rotateApiKeyBody.parse(request.body ?? {})
        const old = await find(caller.tenant, request.params.id)
        if (statusOf(old, nowMs()) !== 'live')
          throw new OmiumError('identity_conflict', `the API key ${old.id} is revoked or has expired`)
        const created = await issue(request, {
          name: old.name,
          scopes: scopesOf(old),
          replaces: old.id,
          ...(expiresAt !== undefined && { expiresAt: Date.parse(expiresAt) }),
          ...(old.ranges.length > 0 && { ranges: [...old.ranges] }),
          ...(old.hours.length > 0 && { hours: old.hours }),
        })
        // should this one be lost, both keys are there, and nobody saw the new one
        await send(request, old.id, {
          type: 'ReplaceApiKey',
          data: { successor: created.id, until: nowMs() + overlapMs },
        })
        return reply.status(201).send(created)
      },
    )

    app.delete(
      '/v1/keys/:id',
      {
        config: { permission: 'keys:write', stepUp: true },
        schema: {
          tags,
          summary: 'Revoke an API key, for ever',
          params: idParam,
          body: revokeApiKeyBody.nullish(),
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { id } = request.params
        return { id, ...(await send(request, id, { type: 'RevokeApiKey', data: request.body ?? {} })) }
      },
    )

    app.post(
      '/v1/keys/verify',
      {
        config: { permission: 'keys:read' },
        schema: {
          tags,
          summary: 'Whether a text is a live API key of this tenant, and what it may do',
          body: verifyApiKeyBody,
          response: { 200: verifiedApiKey },
        },
      },
      async (request) => {
        const found = await apiKeys.lookup(request.body.key, request.ip).catch(invalid)
        if (!found || found.tenant !== callerOf(request).tenant) return { valid: false }
        const { limits } = found
        const scopes = {
          permissions: [...found.permissions],
          ...(limits && limits.workflows.length > 0 && { workflows: [...limits.workflows] }),
          ...(limits && limits.agents.length > 0 && { agents: [...limits.agents] }),
        }
        return { valid: true, id: found.id, scopes }
      },
    )
  }

const notLive: ReadonlySet<string> = new Set(['unauthenticated', 'forbidden', 'outside_hours'])

const invalid = (error: unknown): undefined => {
  if (error instanceof OmiumError && notLive.has(error.code)) return undefined
  throw error
}

const statusOf = ({ revokedAt, expiresAt }: ApiKeyRecord, nowMs: number): ApiKeyView['status'] => {
  if (revokedAt) return 'revoked'
  return expiresAt && expiresAt.getTime() <= nowMs ? 'expired' : 'live'
}

const scopesOf = ({ permissions, workflows, agents }: ApiKeyRecord): KeyScopes => ({
  permissions: [...permissions],
  ...(workflows && { workflows: [...workflows] }),
  ...(agents && { agents: [...agents] }),
})

const viewOf = (record: ApiKeyRecord, nowMs: number): ApiKeyView => ({
  id: record.id,
  name: record.name,
  environment: record.environment,
  prefix: record.prefix,
  status: statusOf(record, nowMs),
  scopes: scopesOf(record),
  ranges: [...record.ranges],
  hours: record.hours,
  createdBy: record.createdBy,
  createdAt: record.createdAt.toISOString(),
  ...(record.expiresAt && { expiresAt: record.expiresAt.toISOString() }),
  ...(record.lastUsedAt && { lastUsedAt: record.lastUsedAt.toISOString() }),
  ...(record.replaces !== null && { replaces: record.replaces }),
  ...(record.successor !== null && { successor: record.successor }),
})
