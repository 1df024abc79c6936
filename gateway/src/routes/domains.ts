import { randomBytes } from 'node:crypto'
import { type DomainRecord, getDomain, listDomains } from '@omium/projection-identity'
import {
  aggregateKey,
  claimDomainBody,
  claimedDomain,
  type DomainCommand,
  type DomainView,
  domainParam,
  domainRecord,
  domainView,
  identityReceipt,
  OmiumError,
  page,
  pageQuery,
  platformTenant,
} from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import { askerOf, commandIdOf } from '../requests.ts'
import type { Services } from '../services.ts'

/** Mail domains of the caller's tenant: claimed, proved by a record in their DNS, given back. */
export const domainRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, identity, domainProof, ids } = services
    const tags = ['sso']
    const keyOf = (domain: string) => aggregateKey('domain', platformTenant, domain)

    const send = async (request: FastifyRequest, domain: string, command: DomainCommand) => {
      const asker = { ...askerOf(request), tenant: platformTenant }
      const decided = await identity.execute(asker, keyOf(domain), commandIdOf(request, ids, domain), command)
      await identity.untilCurrent(keyOf(domain))
      return decided
    }
    const find = async (tenant: string, domain: string): Promise<DomainRecord> => {
      const record = await getDomain(reads, tenant, domain)
      if (!record) throw new OmiumError('domain_unknown', `${domain} is not claimed`)
      return record
    }

    app.get(
      '/v1/domains',
      {
        config: { permission: 'sso:read' },
        schema: {
          tags,
          summary: 'List domains, newest claim first',
          querystring: pageQuery,
          response: { 200: page(domainView) },
        },
      },
      async (request) => {
        await identity.untilCurrent()
        const { items, ...rest } = await listDomains(reads, callerOf(request).tenant, request.query)
        return { items: items.map(viewOf), ...rest }
      },
    )

    app.post(
      '/v1/domains',
      {
        config: { permission: 'sso:write', stepUp: true },
        schema: {
          tags,
          summary: 'Claim a domain; the answer says which record proves that it is yours',
          body: claimDomainBody,
          response: { 201: claimedDomain },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const { domain } = request.body
        const token = randomBytes(24).toString('base64url')
        const decided = await send(request, domain, { type: 'ClaimDomain', data: { tenant, token } })
        // claimed before, it keeps its token
        const { record } = viewOf(await find(tenant, domain))
        return reply.status(201).send({ id: domain, ...decided, record })
      },
    )

    app.get(
      '/v1/domains/:domain',
      {
        config: { permission: 'sso:read' },
        schema: { tags, summary: 'Get a domain', params: domainParam, response: { 200: domainView } },
      },
      async (request) => viewOf(await find(callerOf(request).tenant, request.params.domain)),
    )

    app.post(
      '/v1/domains/:domain/verify',
      {
        config: { permission: 'sso:write', stepUp: true },
        schema: {
          tags,
          summary: "Look for the record in the domain's DNS; when it is there, the domain is yours",
          params: domainParam,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { domain } = request.params
        const { token } = await find(tenant, domain)
        const texts = await domainProof.texts(domain).catch((cause: unknown) => {
          throw new OmiumError('unavailable', `the DNS of ${domain} cannot be asked for the moment: try again`, {
            cause,
          })
        })
        if (!texts.includes(domainRecord(token)))
          throw new OmiumError(
            'domain_unverified',
            `${domain} has no TXT record ${domainRecord(token)} yet; a new record can take a while to be seen`,
          )
        return { id: domain, ...(await send(request, domain, { type: 'ConfirmDomain', data: { tenant, token } })) }
      },
    )

    app.delete(
      '/v1/domains/:domain',
      {
        config: { permission: 'sso:write', stepUp: true },
        schema: {
          tags,
          summary: 'Give a domain back; its connections sign in nobody of it any more',
          params: domainParam,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { domain } = request.params
        return { id: domain, ...(await send(request, domain, { type: 'ReleaseDomain', data: { tenant } })) }
      },
    )
  }

const viewOf = ({ domain, status, token, claimedAt, verifiedAt, missingSince }: DomainRecord): DomainView => ({
  domain,
  status,
  record: { type: 'TXT', name: domain, value: domainRecord(token) },
  claimedAt: claimedAt.toISOString(),
  ...(verifiedAt && { verifiedAt: verifiedAt.toISOString() }),
  ...(missingSince && { missingSince: missingSince.toISOString() }),
})
