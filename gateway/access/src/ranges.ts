import { BlockList, isIPv6 } from 'node:net'

/** Whether an address is in one of the CIDR ranges; no ranges: any is. IPv4 that came mapped into IPv6 counts as IPv4. */
export const inRanges = (ranges: readonly string[], address: string): boolean => {
  if (ranges.length === 0) return true
  const list = new BlockList()
  for (const range of ranges) {
    const [net = '', bits] = range.split('/')
    const family = isIPv6(net) ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(net, family)
    else list.addSubnet(net, Number(bits), family)
  }
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
  return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}
