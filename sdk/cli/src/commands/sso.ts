import { claimedDomain, domainView, type SsoConnectionView, ssoConnectionView, ssoTestStarted } from '@omium/schemas'
import { Argument, type Command } from 'commander'
import { clientOf } from '../connection.ts'
import { readJsonArgument } from '../input.ts'
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
        ['id', 'name', 'kind', 'status', 'domains', 'last test'],
        ({ id, name, status, settings, domains, lastTest }) => [
          id,
          name,
          settings.kind,
          status,
          domains.map(({ domain, verified }) => (verified ? domain : `${domain} (not verified)`)).join(', '),
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
    .option('--json', 'one JSON document')
    .action(async (text: string, { json }: Flags) => {
      const body = await readJsonArgument(io, text)
      const { id } = (await clientOf(io).request('POST', '/v1/sso/connections', { body })) as { id: string }
      const connection = await get(id)
      show(io, json, connection, () => [id, ...registration(connection)].join('\n'))
    })

  sso
    .command('change')
    .description('replace the settings of a connection; a secret that is not named stays')
    .argument('<id>')
    .addArgument(connectionArgument())
    .option('--json', 'one JSON document')
    .action(async (id: string, text: string, { json }: Flags) => {
      const changed = await clientOf(io).request('PUT', at(id), { body: await readJsonArgument(io, text) })
      show(io, json, changed, () => `${id} is changed`)
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
