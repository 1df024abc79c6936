import { isIP, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { OmiumError, type Settings } from '@omium/schemas'
import { rangeCheck } from './ranges.ts'

/**
 * Which addresses may be called. A public one may, at the listed ports; any other only when its range is allowed.
 *
 * 1. IPv4 is refused by the IANA IPv4 Special-Purpose Address Registry (RFC 6890 and successors) and multicast (RFC 5771).
 * 2. IPv6 is refused unless it is in 2000::/3, the only space that IANA gives out, and outside of the registry's special blocks there.
 *    So every form that carries an IPv4 address is refused as a whole: mapped and compatible (::/96, ::ffff:0:0/96), NAT64
 *    (64:ff9b::/96, 64:ff9b:1::/48), 6to4 (2002::/16), Teredo (2001::/32), ISATAP lives in link-local and unique local space.
 * 3. Addresses of this machine are refused, public ones too.
 * 4. What gives out credentials of a cloud machine, and "this host", is refused whatever is allowed.
 */

export interface EgressRules {
  /** ranges (CIDR) that are not public and may be called all the same, at any port */
  readonly allow: readonly string[]
  /** ports of public addresses */
  readonly ports: readonly number[]
  /** whether http is taken as well as https */
  readonly http: boolean
}

export interface AddressRules {
  /** why an address may not be called at this port; undefined: it may */
  refusal(address: string, port: number): string | undefined
}

export const egressSettings = ['OMIUM_EGRESS_ALLOW', 'OMIUM_EGRESS_PORTS', 'OMIUM_EGRESS_HTTP'] as const

export const egressRules = (from: Settings<(typeof egressSettings)[number]>): EgressRules => ({
  allow: from.OMIUM_EGRESS_ALLOW,
  ports: from.OMIUM_EGRESS_PORTS,
  http: from.OMIUM_EGRESS_HTTP,
})

const specialIpv4 = rangeCheck([
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
])
const givenOutIpv6 = rangeCheck(['2000::/3'])
const specialIpv6 = rangeCheck([
  '2001::/23', // protocol assignments, with Teredo, benchmarks, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4
  '2620:4f:8000::/48', // AS112
  '3fff::/20', // documentation
])
/** the first five: where clouds tell their machines who they are. 168.63.129.16 is public by its number, and Azure's own */
const never = rangeCheck([
  '169.254.169.254',
  '169.254.170.2',
  '168.63.129.16',
  '100.100.100.200',
  'fd00:ec2::254',
  '0.0.0.0/8',
  '::',
])

/** @throws OmiumError `settings_invalid` when an allowed range is none */
export const createAddressRules = ({ allow, ports }: Pick<EgressRules, 'allow' | 'ports'>): AddressRules => {
  const allowed = checked(allow)
  const openPorts = new Set(ports)
  const own = rangeCheck(
    Object.values(networkInterfaces()).flatMap((all = []) =>
      all.map(({ address }) => address).filter((address) => !address.includes('%')),
    ),
  )
  const isPublic = (address: string): boolean =>
    isIPv6(address) ? givenOutIpv6(address) && !specialIpv6(address) : !specialIpv4(address)

  return {
    refusal(address, port) {
      if (isIP(address) === 0 || address.includes('%')) return 'not an address that can be called'
      // a mapped address is IPv4 in disguise, and no receiver needs one
      if (isIPv6(address) && mapped(address)) return 'an IPv4 address in the form of IPv6'
      if (never(address)) return 'an address that is never called'
      if (allowed(address)) return undefined
      if (!isPublic(address) || own(address)) return 'not a public address'
      return openPorts.has(port) ? undefined : `port ${port} is not one that may be called`
    },
  }
}

/** ::ffff:0:0/96 in any spelling; asked of the IPv6 form, since BlockList takes it for IPv4 */
const mapped = (address: string): boolean => new URL(`http://[${address}]`).hostname.startsWith('[::ffff:')

const checked = (ranges: readonly string[]): ReturnType<typeof rangeCheck> => {
  try {
    return rangeCheck(ranges)
  } catch (cause) {
    throw new OmiumError('settings_invalid', `OMIUM_EGRESS_ALLOW: not all of ${ranges.join(', ')} are ranges`, {
      cause,
    })
  }
}
