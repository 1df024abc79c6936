import { BlockList, isIP, isIPv6 } from 'node:net'

/**
 * Whether an address is in one of the ranges (addresses and CIDR, of both families). IPv4 that is written as mapped IPv6 counts as
 * IPv4; what is no plain address (a zone behind it, a name) is in none.
 */
export const rangeCheck = (ranges: readonly string[]): ((address: string) => boolean) => {
  const list = new BlockList()
  for (const range of ranges) {
    const [net = '', bits] = range.split('/')
    const family = isIPv6(net) ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(net, family)
    else list.addSubnet(net, Number(bits), family)
  }
  return (address) => {
    const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
    return !plain.includes('%') && isIP(plain) !== 0 && list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
  }
}
