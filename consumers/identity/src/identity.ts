import { authorOf, bySystem, type Clock, HostedPartition, type Notices, Outbox } from '@omium/kit'
import type { Command, ContextHandler, OwnedPartition } from '@omium/log'
import {
  type AddressCommand,
  type AggregateType,
  type ApiKeyCommand,
  addressCommands,
  apiKeyCommands,
  type DeviceGrantCommand,
  type DomainCommand,
  deviceGrantCommands,
  domainCommands,
  domainRecord,
  type MagicLinkCommand,
  magicLinkCommands,
  type NoticeOutcome,
  parseAggregateKey,
  platformTenant,
  type SsoConnectionCommand,
  ssoConnectionCommands,
  type TenantCommand,
  tenantCommands,
  type UserCommand,
} from '@omium/schemas'
import { decideAddress } from './domain/address.ts'
import { decideApiKey } from './domain/api-key.ts'
import type { Decision } from './domain/decision.ts'
import { decideDeviceGrant, endsDeviceGrant } from './domain/device-grant.ts'
import { decideMagicLink } from './domain/magic-link.ts'
import { decideDomain, watchDomain } from './domain/mail-domain.ts'
import { noticeMs } from './domain/notices.ts'
import {
  mailsOwedByUser,
  type Owed,
  type OwedMail,
  owedByApiKey,
  owedBySsoConnection,
  owedByTenant,
  owedByUser,
} from './domain/owed.ts'
import { decideSsoConnection } from './domain/sso-connection.ts'
import { decideTenant } from './domain/tenant.ts'
import { decideUser } from './domain/user.ts'
import { Expiry } from './expiry.ts'
import type { PartitionState } from './machine.ts'

/**
 * Users, tenants and keys of the partitions that this process owns.
 *
 * 1. Every change is an accepted event; what a refusal reveals is recorded before the refusal.
 * 2. What leaves the process is derived from accepted state and carries an id made from what it is about: sent twice, it has
 *    one effect.
 * 3. Time that decides something is this process's clock.
 * 4. What nobody used in time is closed ({@link Expiry}).
 * 5. Mails go out beside everything else: whatever becomes of them, nothing waits for it.
 */
export interface IdentityOptions {
  readonly clock: Clock
  readonly notices: Notices
  /** Destroys what a subject's personal data could be opened with. Idempotent. */
  erase(subject: string): Promise<void>
  /** Sends a mail. @returns what became of it. @throws whatever may succeed later */
  tell(mail: OwedMail): Promise<NoticeOutcome>
}

interface Hosted {
  readonly partition: HostedPartition<PartitionState>
  readonly outbox: Outbox<PartitionState, Owed>
  readonly mails: Outbox<PartitionState, OwedMail>
  readonly expiry: Expiry
}

export class Identity implements ContextHandler<PartitionState> {
  readonly #options: IdentityOptions
  readonly #hosted = new Map<number, Hosted>()

  constructor(options: IdentityOptions) {
    this.#options = options
  }

  /** of the partitions that this process owns, for metrics */
  count(): Readonly<Record<'users' | 'sessions' | 'tenants' | 'apiKeys', number>> {
    const total = { users: 0, sessions: 0, tenants: 0, apiKeys: 0 }
    for (const { partition } of this.#hosted.values()) {
      const { users, tenants, apiKeys } = partition.state
      total.users += users.size
      total.tenants += tenants.size
      total.apiKeys += apiKeys.size
      for (const { sessions } of users.values()) total.sessions += Object.keys(sessions).length
    }
    return total
  }

  owned(log: OwnedPartition<PartitionState>): void {
    const { clock, notices } = this.#options
    const partition = new HostedPartition(log, {
      onFault: (err) => notices.error({ err }, 'a callback failed'),
      onSettled: (aggregate) => {
        outbox.settle(aggregate)
        mails.settle(aggregate)
        expiry.watch(aggregate)
      },
    })
    const outbox = new Outbox<PartitionState, Owed>(log, {
      clock,
      notices,
      owedBy,
      send: (aggregate, owed) => this.#send(partition, aggregate, owed),
    })
    const mails = new Outbox<PartitionState, OwedMail>(log, {
      clock,
      notices,
      owedBy: ({ users }, aggregate) => {
        const user = users.get(aggregate)
        return user ? mailsOwedByUser(user) : []
      },
      send: (aggregate, mail) => this.#tell(partition, aggregate, mail),
    })
    const expiry = new Expiry(partition, clock)
    this.#hosted.set(log.partition, { partition, outbox, mails, expiry })
    const { users, tenants, apiKeys, ssoConnections, magicLinks, deviceGrants } = log.state
    for (const owing of [users, tenants, apiKeys, ssoConnections])
      for (const aggregate of owing.keys()) outbox.settle(aggregate)
    for (const aggregate of users.keys()) mails.settle(aggregate)
    for (const ending of [magicLinks, deviceGrants]) for (const aggregate of ending.keys()) expiry.watch(aggregate)
  }

  lost(number: number): void {
    this.#hosted.get(number)?.expiry.stop()
    this.#hosted.delete(number)
  }

  command(log: OwnedPartition<PartitionState>, command: Command): Promise<unknown> {
    const partition = this.#hosted.get(log.partition)?.partition
    if (!partition) throw new RangeError(`a command came for partition ${log.partition}, which is not owned`)
    const { aggregate, tenant } = command.envelope
    const key = parseAggregateKey(aggregate)
    const expected = aggregateTypeOf(command.type)
    const own = expected === 'tenant' ? key?.id === tenant : isTenants(expected) !== (tenant === platformTenant)
    if (key?.type !== expected || key.tenant !== tenant || !own) {
      const detail = `${command.type} is for an aggregate ${expected}:<tenant>/<id> of its own tenant`
      return partition.reject(command, 'invalid_request', detail)
    }
    const decision = this.#decide(log.state, command, key.id)
    if (decision.status === 'refused') {
      const { commandId: _, ...by } = authorOf(command)
      if (decision.events.length > 0) partition.record(aggregate, decision.events, by).catch(() => undefined)
      return partition.reject(command, decision.code, decision.detail)
    }
    if (decision.events.length === 0) return partition.recordDeduplicated(command)
    const last = decision.events.at(-1)?.type ?? ''
    const closes = last === 'MagicLinkUsed' || endsDeviceGrant(last)
    return partition.record(aggregate, decision.events, authorOf(command), closes)
  }

  /**
   * Looks again whether the domains that tenants have proved to be theirs still say so. What cannot be asked is left as it is.
   * @param texts the TXT records of a domain. @throws when they cannot be asked for
   */
  async recheckDomains(texts: (domain: string) => Promise<readonly string[]>, graceMs: number): Promise<void> {
    for (const { partition } of [...this.#hosted.values()])
      for (const [aggregate, { owner }] of [...partition.state.domains]) {
        const domain = parseAggregateKey(aggregate)?.id
        if (!owner || domain === undefined) continue
        const found = await texts(domain).catch((err: unknown) => {
          this.#options.notices.warn({ err, domain }, 'the records of a domain cannot be asked for')
          return undefined
        })
        const state = partition.state.domains.get(aggregate)
        if (!found || !state || !partition.live) continue
        const isThere = (token: string) => found.includes(domainRecord(token))
        const events = watchDomain(state, isThere, this.#options.clock.nowMs(), graceMs)
        const by = bySystem({ tenant: platformTenant, correlationId: state.correlationId })
        if (events.length > 0) await partition.record(aggregate, events, by)
      }
  }

  #decide(state: PartitionState, { type, data, envelope }: Command, id: string): Decision {
    const { aggregate, actor } = envelope
    const asked = { actor, nowMs: this.#options.clock.nowMs() }
    const command = { type, data }
    switch (aggregateTypeOf(type)) {
      case 'address':
        return decideAddress(state.addresses.get(aggregate), command as AddressCommand)
      case 'tenant':
        return decideTenant(state.tenants.get(aggregate), command as TenantCommand, id, asked)
      case 'api_key':
        return decideApiKey(state.apiKeys.get(aggregate), command as ApiKeyCommand, id, asked)
      case 'device_grant':
        return decideDeviceGrant(state.deviceGrants.get(aggregate), command as DeviceGrantCommand, asked)
      case 'magic_link':
        return decideMagicLink(state.magicLinks.get(aggregate), command as MagicLinkCommand, asked)
      case 'sso_connection':
        return decideSsoConnection(state.ssoConnections.get(aggregate), command as SsoConnectionCommand, id, asked)
      case 'domain':
        return decideDomain(state.domains.get(aggregate), command as DomainCommand, id, asked)
      default:
        return decideUser(state.users.get(aggregate), command as UserCommand, id, asked)
    }
  }

  /** Sends one thing that an aggregate owes and records the receipt. @throws whatever may succeed later */
  async #send(partition: HostedPartition<PartitionState>, aggregate: string, owed: Owed): Promise<void> {
    const { users, tenants, apiKeys, ssoConnections } = partition.state
    const state =
      users.get(aggregate) ?? tenants.get(aggregate) ?? apiKeys.get(aggregate)?.report ?? ssoConnections.get(aggregate)
    if (!state) return
    if (owed.what === 'erasure') for (const subject of owed.subjects) await this.#options.erase(subject)
    else {
      const { id, tenant, aggregate: to, command } = owed
      await partition.log.send({ id, ...command, aggregate: to, ...bySystem({ ...state, tenant }) })
    }
    const tenant = parseAggregateKey(aggregate)?.tenant ?? platformTenant
    if (owed.receipt) await partition.record(aggregate, [owed.receipt], bySystem({ ...state, tenant }))
  }

  /** Sends one mail that a user is owed and records what became of it. @throws whatever may succeed later */
  async #tell(partition: HostedPartition<PartitionState>, aggregate: string, mail: OwedMail): Promise<void> {
    const { clock, tell } = this.#options
    const outcome = clock.nowMs() - mail.at > noticeMs ? 'too_late' : await tell(mail)
    const state = partition.state.users.get(aggregate)
    if (!state?.notices[mail.version]) return
    const settled = { type: 'SecurityNoticeSettled', data: { notice: mail.version, outcome } } as const
    await partition.record(aggregate, [settled], bySystem({ ...state, tenant: platformTenant }))
  }
}

const owedBy = ({ users, tenants, apiKeys, ssoConnections }: PartitionState, aggregate: string): readonly Owed[] => {
  const user = users.get(aggregate)
  if (user) return owedByUser(user)
  const tenant = tenants.get(aggregate)
  if (tenant) return owedByTenant(tenant)
  const key = apiKeys.get(aggregate)
  if (key) return owedByApiKey(key)
  const connection = ssoConnections.get(aggregate)
  return connection ? owedBySsoConnection(connection) : []
}

type Kind = Extract<
  AggregateType,
  'address' | 'user' | 'tenant' | 'api_key' | 'magic_link' | 'device_grant' | 'sso_connection' | 'domain'
>

const aggregateTypeOf = (commandType: string): Kind => {
  if (commandType in addressCommands) return 'address'
  if (commandType in tenantCommands) return 'tenant'
  if (commandType in apiKeyCommands) return 'api_key'
  if (commandType in deviceGrantCommands) return 'device_grant'
  if (commandType in ssoConnectionCommands) return 'sso_connection'
  if (commandType in domainCommands) return 'domain'
  return commandType in magicLinkCommands ? 'magic_link' : 'user'
}

const isTenants = (kind: Kind): boolean => kind === 'tenant' || kind === 'api_key' || kind === 'sso_connection'
