/**
 * What counts as one visitor: an IPv4 address, or the /64 of an IPv6 address, within which one visitor has addresses without
 * end. This machine is one visitor, by whichever of its loopback addresses it comes.
 */
export const networkOf = (ip: string): string => {
  if (ip === '::1') return '127.0.0.1'
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1]
  if (mapped !== undefined) return mapped
  if (!ip.includes(':')) return ip
  const [head = '', tail = ''] = (ip.split('%')[0] ?? '').split('::')
  const [front, back] = [head, tail].map((part) => part.split(':').filter(Boolean)) as [string[], string[]]
  const groups = [...front, ...Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => '0'), ...back]
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
