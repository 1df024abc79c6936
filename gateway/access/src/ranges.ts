import { rangeCheck } from '@omium/safe-fetch'

/** Whether an address is in one of the CIDR ranges; no ranges: any is. IPv4 that came mapped into IPv6 counts as IPv4. */
export const inRanges = (ranges: readonly string[], address: string): boolean =>
  ranges.length === 0 || rangeCheck(ranges)(address)
