import {
  getSsoConnection,
  listSsoConnections,
  type SsoConnectionRecord,
  ssoIsRequired,
} from '@omium/projection-identity'
import { checkTarget } from '@omium/safe-fetch'
import {
  aggregateKey,
  identityReceipt,
  idpMetadataBody,
  idpMetadataView,
  OmiumError,
  page,
  pageQuery,
  parseSsoIssuer,
  type SsoConnection,
  type SsoConnectionBody,
  type SsoConnectionCommand,
  type SsoConnectionView,
  ssoConnectionBody,
  ssoConnectionParam,
  ssoConnectionView,
  ssoPolicyBody,
  ssoPolicyView,
  ssoTestStarted,
} from '@omium/schemas'
import { certificateView, createSamlKeyPair, samlAddresses, signingCertificate, ssoRedirectUri } from '@omium/sign-in'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import { askerOf, commandIdOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'

/**
 * Connections of the caller's tenant to its identity providers. Secrets are sealed before they are anywhere; they come in and
 * never go out again. A SAML connection gets a key of its own when it is made, which stays with it.
 */
export const ssoRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, identity, personalData, signIn, egress, ids, nowMs } = services
    const { publicUrl } = signIn
    const tags = ['sso']

    const send = async (request: FastifyRequest, id: string, command: SsoConnectionCommand) => {
      const aggregate = aggregateKey('sso_connection', callerOf(request).tenant, id)
      const decided = await identity.execute(askerOf(request), aggregate, commandIdOf(request, ids, id), command)
      // people sign in by the read model
      await identity.untilCurrent(aggregate)
      return { id, ...decided }
    }
    const find = async (tenant: string, id: string): Promise<SsoConnectionRecord> => {
      await identity.untilCurrent(aggregateKey('sso_connection', tenant, id))
      const record = await getSsoConnection(reads, tenant, id)
      if (!record) throw new OmiumError('sso_connection_unknown', `there is no connection ${id}`)
      return record
    }

    type Settings = SsoConnection['settings']
    /** @param before what it was, when it is changed: secrets that are not named stay */
    const settingsOf = async (
      id: string,
      given: SsoConnectionBody['settings'],
      before?: Settings,
    ): Promise<Settings> => {
      if (given.kind === 'oidc') {
        const { clientSecret, ...rest } = given
        checkTarget(given.issuer, egress)
        const kept = before?.kind === 'oidc' ? before.clientSecret : undefined
        const sealed = clientSecret === undefined ? kept : await personalData.seal(id, clientSecret)
        return { ...rest, ...(sealed !== undefined && { clientSecret: sealed }) }
      }
      if (!egress.http && !given.ssoUrl.startsWith('https:'))
        throw new OmiumError('invalid_request', 'settings.ssoUrl: only https is taken')
      const { emailAttribute, nameAttribute, ...rest } = given
      const own = before?.kind === 'saml' ? before : await newKey(id)
      return {
        ...rest,
        certificates: given.certificates.map(checkedCertificate),
        key: own.key,
        certificate: own.certificate,
        ...(emailAttribute !== undefined && { emailAttribute }),
        ...(nameAttribute !== undefined && { nameAttribute }),
      }
    }
    const newKey = async (id: string) => {
      const { key, certificate } = await createSamlKeyPair(id, nowMs())
      return { key: await personalData.seal(id, key), certificate }
    }
    const connectionOf = async (id: string, body: SsoConnectionBody, before?: Settings): Promise<SsoConnection> => {
      const { name, domains, settings, rules, defaultRole } = body
      return {
        name,
        domains: [...new Set(domains)],
        settings: await settingsOf(id, settings, before),
        rules,
        ...(defaultRole !== undefined && { defaultRole }),
      }
    }

    app.get(
      '/v1/sso/connections',
      {
        config: { permission: 'sso:read' },
        schema: {
          tags,
          summary: 'List connections to identity providers, newest first',
          querystring: pageQuery,
          response: { 200: page(ssoConnectionView) },
        },
      },
      async (request) => {
        await identity.untilCurrent()
        const { items, ...rest } = await listSsoConnections(reads, callerOf(request).tenant, request.query)
        return { items: items.map((record) => viewOf(publicUrl, record)), ...rest }
      },
    )

    app.post(
      '/v1/sso/connections',
      {
        config: { permission: 'sso:write', stepUp: true },
        schema: {
          tags,
          summary: 'Connect an identity provider; a draft lets nobody in',
          body: ssoConnectionBody,
          response: { 201: identityReceipt },
        },
      },
      async (request, reply) => {
        const id = newIdOf(request, ids, 'ssoConnection')
        const data = await connectionOf(id, request.body)
        return reply.status(201).send(await send(request, id, { type: 'CreateSsoConnection', data }))
      },
    )

    app.post(
      '/v1/sso/metadata',
      {
        config: { permission: 'sso:write' },
        schema: {
          tags,
          summary:
            'Read the SAML metadata of an identity provider, for the settings of a connection; nothing is stored',
          body: idpMetadataBody,
          response: { 200: idpMetadataView },
        },
      },
      async (request) => {
        const { body } = request
        const { idpMetadata } = signIn
        const found =
          'xml' in body ? idpMetadata.read(body.xml) : await idpMetadata.fetch(callerOf(request).tenant, body.url)
        return { ...found, certificates: found.certificates.map(certificateView) }
      },
    )

    app.get(
      '/v1/sso/connections/:id',
      {
        config: { permission: 'sso:read' },
        schema: {
          tags,
          summary: 'Get a connection, without its secrets',
          params: ssoConnectionParam,
          response: { 200: ssoConnectionView },
        },
      },
      async (request) => viewOf(publicUrl, await find(callerOf(request).tenant, request.params.id)),
    )

    app.put(
      '/v1/sso/connections/:id',
      {
        config: { permission: 'sso:write', stepUp: true },
        schema: {
          tags,
          summary: 'Replace the settings of a connection; a secret that is not named stays',
          params: ssoConnectionParam,
          body: ssoConnectionBody,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { id } = request.params
        const { settings } = await find(callerOf(request).tenant, id)
        if (settings.kind !== request.body.settings.kind)
          throw new OmiumError(
            'identity_conflict',
            `the connection ${id} is of the kind ${settings.kind}: create another one`,
          )
        const data = await connectionOf(id, request.body, settings)
        return send(request, id, { type: 'ChangeSsoConnection', data })
      },
    )

    app.delete(
      '/v1/sso/connections/:id',
      {
        config: { permission: 'sso:write', stepUp: true },
        schema: {
          tags,
          summary: 'Delete a connection and its secrets; people stay members',
          params: ssoConnectionParam,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        return send(request, request.params.id, { type: 'DeleteSsoConnection', data: {} })
      },
    )

    const switches = [
      ['activate', 'ActivateSsoConnection', 'Let people sign in through a connection'],
      ['disable', 'DisableSsoConnection', 'Let nobody sign in through a connection any more'],
    ] as const
    for (const [verb, type, summary] of switches)
      app.post(
        `/v1/sso/connections/:id/${verb}`,
        {
          config: { permission: 'sso:write', stepUp: true },
          schema: { tags, summary, params: ssoConnectionParam, response: { 200: identityReceipt } },
        },
        async (request) => send(request, request.params.id, { type, data: {} }),
      )

    app.post(
      '/v1/sso/connections/:id/test',
      {
        config: { permission: 'sso:write', stepUp: true },
        schema: {
          tags,
          summary: 'Try a connection: open the address in a window; it reports what is received and signs nobody in',
          params: ssoConnectionParam,
          response: { 200: ssoTestStarted },
        },
      },
      async (request) => {
        const { tenant, actor } = callerOf(request)
        const { id: connection } = await find(tenant, request.params.id)
        const { path, livesMs } = await signIn.testOf({ connection, tenant, actor })
        return { url: `${publicUrl}${path}`, expiresAt: new Date(nowMs() + livesMs).toISOString() }
      },
    )

    app.get(
      '/v1/sso/policy',
      {
        config: { permission: 'sso:read' },
        schema: { tags, summary: 'Whether people have to come through a connection', response: { 200: ssoPolicyView } },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        await identity.untilCurrent(aggregateKey('tenant', tenant, tenant))
        return { required: await ssoIsRequired(reads, tenant) }
      },
    )

    app.put(
      '/v1/sso/policy',
      {
        config: { permission: 'sso:write', stepUp: true },
        schema: {
          tags,
          summary: 'Demand that members with addresses in your domains come through a connection',
          body: ssoPolicyBody,
          response: { 200: identityReceipt },
        },
      },
      async (request) => {
        const { tenant, session } = callerOf(request)
        const { required } = request.body
        if (required && session && parseSsoIssuer(session.login?.issuer ?? '')?.tenant !== tenant)
          throw new OmiumError(
            'identity_conflict',
            'sign in through a connection of this tenant first: so you know that it works before it is the only way',
          )
        const aggregate = aggregateKey('tenant', tenant, tenant)
        const id = commandIdOf(request, ids, tenant)
        return {
          id: tenant,
          ...(await identity.execute(askerOf(request), aggregate, id, { type: 'RequireSso', data: { required } })),
        }
      },
    )
  }

/** @throws OmiumError `invalid_request` */
const checkedCertificate = (given: string): string => {
  try {
    return signingCertificate(given)
  } catch (cause) {
    throw new OmiumError('invalid_request', `settings.certificates: ${(cause as Error).message}`, { cause })
  }
}

const viewOf = (publicUrl: string, record: SsoConnectionRecord): SsoConnectionView => ({
  id: record.id,
  name: record.name,
  status: record.status,
  domains: record.domains.map((domain) => ({ domain, verified: record.ownDomains.includes(domain) })),
  settings: settingsView(publicUrl, record),
  rules: [...record.rules],
  ...(record.defaultRole !== null && { defaultRole: record.defaultRole }),
  createdAt: record.createdAt.toISOString(),
  changedAt: record.changedAt.toISOString(),
  ...(record.testedAt && {
    lastTest: { at: record.testedAt.toISOString(), outcome: record.testOutcome ?? 'ok' },
  }),
})

const settingsView = (publicUrl: string, { id, settings }: SsoConnectionRecord): SsoConnectionView['settings'] => {
  if (settings.kind === 'oidc') {
    const { clientSecret, ...rest } = settings
    return { ...rest, hasSecret: clientSecret !== undefined, redirectUri: ssoRedirectUri(publicUrl, id) }
  }
  const { key: _, certificate, certificates, ...rest } = settings
  return {
    ...rest,
    certificates: certificates.map(certificateView),
    serviceProvider: { ...samlAddresses(publicUrl, id), certificate },
  }
}
