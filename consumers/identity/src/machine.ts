import type { AcceptedEvent, StateMachine } from '@omium/log'
import {
  type AddressEvent,
  type ApiKeyEvent,
  type DeviceGrantEvent,
  type DomainEvent,
  type MagicLinkEvent,
  parseAggregateKey,
  type SsoConnectionEvent,
  type TenantEvent,
  type UserEvent,
} from '@omium/schemas'
import { type AddressState, evolveAddress } from './domain/address.ts'
import { type ApiKeyState, evolveApiKey } from './domain/api-key.ts'
import { type DeviceGrantState, endsDeviceGrant, evolveDeviceGrant } from './domain/device-grant.ts'
import { evolveMagicLink, type MagicLinkState } from './domain/magic-link.ts'
import { type DomainState, evolveDomain } from './domain/mail-domain.ts'
import { evolveSsoConnection, type SsoConnectionState } from './domain/sso-connection.ts'
import { evolveTenant, type TenantState } from './domain/tenant.ts'
import { evolveUser, type UserState } from './domain/user.ts'

/** The live state of one partition of the identity context, by aggregate key. States are plain JSON. */
export interface PartitionState {
  readonly addresses: Map<string, AddressState>
  readonly users: Map<string, UserState>
  readonly tenants: Map<string, TenantState>
  readonly apiKeys: Map<string, ApiKeyState>
  readonly magicLinks: Map<string, MagicLinkState>
  readonly ssoConnections: Map<string, SsoConnectionState>
  readonly domains: Map<string, DomainState>
  readonly deviceGrants: Map<string, DeviceGrantState>
}

type Encoded = { readonly [K in keyof PartitionState]: [string, unknown][] }

export const identityMachine: StateMachine<PartitionState> = {
  version: 6,
  empty: () => ({
    addresses: new Map(),
    users: new Map(),
    tenants: new Map(),
    apiKeys: new Map(),
    magicLinks: new Map(),
    ssoConnections: new Map(),
    domains: new Map(),
    deviceGrants: new Map(),
  }),

  apply(state, { envelope, type, data }: AcceptedEvent) {
    const { aggregate, tenant, correlationId, version } = envelope
    const { addresses, users, tenants, apiKeys, magicLinks, deviceGrants, ssoConnections, domains } = state
    const key = parseAggregateKey(aggregate)
    const event = { type, data }
    switch (key?.type) {
      case 'address':
        addresses.set(aggregate, evolveAddress(addresses.get(aggregate), event as AddressEvent))
        break
      case 'user':
        users.set(
          aggregate,
          evolveUser(users.get(aggregate), event as UserEvent, { id: key.id, correlationId, version }),
        )
        break
      case 'tenant': {
        const place = { tenant, correlationId, version }
        tenants.set(aggregate, evolveTenant(tenants.get(aggregate), event as TenantEvent, place))
        break
      }
      case 'api_key':
        apiKeys.set(
          aggregate,
          evolveApiKey(apiKeys.get(aggregate), event as ApiKeyEvent, { id: key.id, tenant, correlationId }),
        )
        break
      case 'magic_link': {
        const link = evolveMagicLink(magicLinks.get(aggregate), event as MagicLinkEvent)
        if (link) magicLinks.set(aggregate, link)
        else magicLinks.delete(aggregate)
        break
      }
      case 'sso_connection': {
        const place = { id: key.id, correlationId }
        const connection = evolveSsoConnection(ssoConnections.get(aggregate), event as SsoConnectionEvent, place)
        ssoConnections.set(aggregate, connection)
        break
      }
      case 'domain':
        domains.set(aggregate, evolveDomain(domains.get(aggregate), event as DomainEvent, correlationId))
        break
      case 'device_grant':
        if (endsDeviceGrant(type)) deviceGrants.delete(aggregate)
        else {
          const grant = deviceGrants.get(aggregate)
          deviceGrants.set(aggregate, evolveDeviceGrant(grant, event as DeviceGrantEvent, correlationId))
        }
        break
    }
  },

  encode: ({ addresses, users, tenants, apiKeys, magicLinks, deviceGrants, ssoConnections, domains }): Encoded => ({
    addresses: [...addresses],
    users: [...users],
    tenants: [...tenants],
    apiKeys: [...apiKeys],
    magicLinks: [...magicLinks],
    deviceGrants: [...deviceGrants],
    ssoConnections: [...ssoConnections],
    domains: [...domains],
  }),

  decode(encoded) {
    const state = encoded as Encoded
    const { addresses, users, tenants, apiKeys, magicLinks, deviceGrants, ssoConnections, domains } = state
    return {
      addresses: new Map(addresses),
      users: new Map(users),
      tenants: new Map(tenants),
      apiKeys: new Map(apiKeys),
      magicLinks: new Map(magicLinks),
      deviceGrants: new Map(deviceGrants),
      ssoConnections: new Map(ssoConnections),
      domains: new Map(domains),
    } as PartitionState
  },
}
