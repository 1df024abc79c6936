import {
  claimedDomain,
  domainView,
  idpMetadataView,
  type JsonValue,
  type SsoConnectionView,
  ssoConnectionView,
  ssoTestStarted,
} from '@omium/schemas'
import { Argument, type Command } from 'commander'
import { clientOf } from '../connection.ts'
import { UsageError } from '../exit-codes.ts'
import { readJsonArgument, readTextArgument } from '../input.ts'
import type { Io } from '../io.ts'
import { printList } from '../lists.ts'
import { show } from '../output.ts'

interface Flags {
  json?: boolean
}

const at = (id: string): string => `/v1/sso/connections/${encodeURIComponent(id)}`
const domainAt = (domain: string): string => `/v1/domains/${encodeURIComponent(domain)}`
/** a secret belongs on no command line */
const connectionArgument = (): Argument => new Argument('<connection>', 'as JSON: @file, or - for standard input')

const metadataOption = [
  '--metadata <source>',
  "take SAML settings from the provider's metadata: an address, @file, or -",
] as const
const metadataOf = async (io: Io, source: string) => {
  const body = /^https?:/i.test(source) ? { url: source } : { xml: await readTextArgument(io, source) }
  return idpMetadataView.parse(await clientOf(io).request('POST', '/v1/sso/metadata', { body }))
}
/** A connection as its argument has it, completed by metadata: what is named in the argument counts. */
const connectionFrom = async (io: Io, text: string, source: string | undefined): Promise<JsonValue> => {
  const body = await readJsonArgument(io, text)
  if (source === undefined) return body
  if (source === '-' && text === '-') throw new UsageError('standard input can be only one of both')
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new UsageError('the connection is a JSON object')
  const { certificates, ...found } = await metadataOf(io, source)
  const { settings } = body
  const named = typeof settings === 'object' && !Array.isArray(settings) ? settings : {}
  return { ...body, settings: { kind: 'saml', ...found, certificates: certificates.map(({ pem }) => pem), ...named } }
}

/** Certificates beside those that a connection has, so that assertions signed with either are taken. */
const withCertificates = (connection: SsoConnectionView, found: readonly string[], replace: boolean) => {
  const { name, domains, settings, rules, defaultRole } = connection
  if (settings.kind !== 'saml') throw new UsageError(`${connection.id} does not speak SAML`)
  const { serviceProvider: _, certificates, ...kept } = settings
  const before = replace ? [] : certificates.map(({ pem }) => pem)
  return {
    name,
    domains: domains.map(({ domain }) => domain),
    settings: { ...kept, certificates: [...new Set([...found, ...before])] },
    rules,
    ...(defaultRole && { defaultRole }),
  }
}

/** What the identity provider has to be told. */
const registration = ({ settings }: SsoConnectionView): readonly string[] =>
  settings.kind === 'oidc'
    ? [`redirect address  ${settings.redirectUri}`]
    : [
        `metadata    ${settings.serviceProvider.metadataUrl}`,
        `entity id   ${settings.serviceProvider.entityId}`,
        `answers to  ${settings.serviceProvider.acsUrl}`,
      ]

const addConnections = (sso: Command, io: Io): void => {
  const get = async (id: string) => ssoConnectionView.parse(await clientOf(io).request('GET', at(id)))

  sso
    .command('ls')
    .description('connections to identity providers')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).pages('/v1/sso/connections', ssoConnectionView),
        ['id', 'name', 'kind', 'status', 'domains', 'certificates until', 'last test'],
        ({ id, name, status, settings, domains, lastTest }) => [
          id,
          name,
          settings.kind,
          status,
          domains.map(({ domain, verified }) => (verified ? domain : `${domain} (not verified)`)).join(', '),
          settings.kind === 'saml'
            ? settings.certificates.map(({ expiresAt }) => expiresAt.slice(0, 10)).join(', ')
            : '-',
          lastTest ? `${lastTest.outcome} ${lastTest.at}` : '-',
        ],
      )
    })

  sso
    .command('show')
    .description('one of them, without its secrets')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const connection = await get(id)
      show(io, json, connection, () => JSON.stringify(connection, null, 2))
    })

  sso
    .command('create')
    .description('connect an identity provider; a draft lets nobody in')
    .addArgument(connectionArgument())
    .option(...metadataOption)
    .option('--json', 'one JSON document')
    .action(async (text: string, { json, metadata }: Flags & { metadata?: string }) => {
      const body = await connectionFrom(io, text, metadata)
      const { id } = (await clientOf(io).request('POST', '/v1/sso/connections', { body })) as { id: string }
      const connection = await get(id)
      show(io, json, connection, () => [id, ...registration(connection)].join('\n'))
    })

  sso
    .command('change')
    .description('replace the settings of a connection; a secret that is not named stays')
    .argument('<id>')
    .addArgument(connectionArgument())
    .option(...metadataOption)
    .option('--json', 'one JSON document')
    .action(async (id: string, text: string, { json, metadata }: Flags & { metadata?: string }) => {
      const changed = await clientOf(io).request('PUT', at(id), { body: await connectionFrom(io, text, metadata) })
      show(io, json, changed, () => `${id} is changed`)
    })

  sso
    .command('metadata')
    .description("what a provider's SAML metadata says; nothing is stored")
    .argument('<source>', 'an address, @file, or - for standard input')
    .option('--json', 'one JSON document')
    .action(async (source: string, { json }: Flags) => {
      const found = await metadataOf(io, source)
      const certificates = found.certificates.map(
        ({ subject, expiresAt }) => `certificate  ${subject.replaceAll('\n', ', ')} until ${expiresAt}`,
      )
      const lines = [`entity id    ${found.entityId}`, `requests to  ${found.ssoUrl}`, ...certificates]
      show(io, json, found, () => lines.join('\n'))
    })

  sso
    .command('renew')
    .description("take the certificates of the provider's metadata, beside those that a connection has")
    .argument('<id>')
    .argument('<source>', 'an address, @file, or - for standard input')
    .option('--replace', 'in place of them: when the provider has stopped to use the old ones')
    .option('--json', 'one JSON document')
    .action(async (id: string, source: string, { json, replace = false }: Flags & { replace?: boolean }) => {
      const [connection, found] = [await get(id), await metadataOf(io, source)]
      const pems = found.certificates.map(({ pem }) => pem)
      const body = withCertificates(connection, pems, replace)
      if (body.settings.entityId !== found.entityId)
        throw new UsageError(`the metadata is of ${found.entityId}; ${id} is connected to ${body.settings.entityId}`)
      const changed = await clientOf(io).request('PUT', at(id), { body })
      show(io, json, changed, () => `${id} takes ${body.settings.certificates.length} certificate(s)`)
    })

  sso
    .command('test')
    .description('try a connection: who opens the address sees what is received; nobody is signed in')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const started = ssoTestStarted.parse(await clientOf(io).request('POST', `${at(id)}/test`))
      if (!json) io.err('open this in a browser within ten minutes:')
      show(io, json, started, () => started.url)
    })

  const verbs = [
    ['activate', 'let people sign in through a connection', 'is active'],
    ['disable', 'let nobody sign in through a connection any more', 'is disabled'],
  ] as const
  for (const [verb, description, done] of verbs)
    sso
      .command(verb)
      .description(description)
      .argument('<id>')
      .option('--json', 'one JSON document')
      .action(async (id: string, { json }: Flags) => {
        const receipt = await clientOf(io).request('POST', `${at(id)}/${verb}`)
        show(io, json, receipt, () => `${id} ${done}`)
      })

  sso
    .command('rm')
    .description('delete a connection and its secrets; people stay members')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const receipt = await clientOf(io).request('DELETE', at(id))
      show(io, json, receipt, () => `${id} is deleted`)
    })

  sso
    .command('require')
    .description('whether members with addresses in your domains have to come through a connection')
    .addArgument(new Argument('<state>').choices(['on', 'off']))
    .option('--json', 'one JSON document')
    .action(async (state: 'on' | 'off', { json }: Flags) => {
      const receipt = await clientOf(io).request('PUT', '/v1/sso/policy', { body: { required: state === 'on' } })
      show(io, json, receipt, () => (state === 'on' ? 'SSO is the only way in' : 'there are other ways in'))
    })
}

const addDomains = (sso: Command, io: Io): void => {
  const domains = sso.command('domains').description('mail domains of the tenant')

  domains
    .command('ls')
    .description('claimed ones, and the records that prove them')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).pages('/v1/domains', domainView),
        ['domain', 'status', 'since', 'record'],
        ({ domain, status, verifiedAt, claimedAt, record }) => [domain, status, verifiedAt ?? claimedAt, record.value],
      )
    })

  domains
    .command('claim')
    .description('claim a domain; says which record proves that it is yours')
    .argument('<domain>')
    .option('--json', 'one JSON document')
    .action(async (domain: string, { json }: Flags) => {
      const claimed = claimedDomain.parse(await clientOf(io).request('POST', '/v1/domains', { body: { domain } }))
      if (!json) io.err(`set this TXT record at ${claimed.record.name}, then: omium sso domains verify ${domain}`)
      show(io, json, claimed, () => claimed.record.value)
    })

  domains
    .command('verify')
    .description('look for the record')
    .argument('<domain>')
    .option('--json', 'one JSON document')
    .action(async (domain: string, { json }: Flags) => {
      const receipt = await clientOf(io).request('POST', `${domainAt(domain)}/verify`)
      show(io, json, receipt, () => `${domain} is yours`)
    })

  domains
    .command('rm')
    .description('give a domain back')
    .argument('<domain>')
    .option('--json', 'one JSON document')
    .action(async (domain: string, { json }: Flags) => {
      const receipt = await clientOf(io).request('DELETE', domainAt(domain))
      show(io, json, receipt, () => `${domain} is given back`)
    })
}

/** Enterprise sign-in: connections to identity providers, and the domains that they are for. */
export const addSsoCommand = (program: Command, io: Io): void => {
  const sso = program.command('sso').description("sign-in at the company's own identity provider")
  addConnections(sso, io)
  addDomains(sso, io)
}
