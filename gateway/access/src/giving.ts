import { isDeepStrictEqual } from 'node:util'
import { type AccessHours, OmiumError, type Permission, type Role, rolePermissions } from '@omium/schemas'
import type { Caller, KeyBounds } from './caller.ts'
import { inRanges } from './ranges.ts'

/**
 * Nobody gives what they do not have.
 *
 * 1. A key is made by whoever has all of its permissions. One that a key makes works from no more addresses, at no other hours and
 *    for no longer than the key that makes it: else a key for a day would be one for ever.
 * 2. A role is given by a person as the tenant's own roles decide; by a key that has all that the role permits.
 */
export interface NewKey {
  readonly permissions: readonly Permission[]
  /** ms; absent: it does not expire */
  readonly expiresAt?: number | undefined
  /** absent or empty: from anywhere */
  readonly ranges?: readonly string[] | undefined
  /** absent or empty: at any time */
  readonly hours?: AccessHours | undefined
}

type Giver = Pick<Caller, 'permissions' | 'bounds'>

/** @throws OmiumError `forbidden`, saying what is too much */
export const requireMayGive = ({ permissions, bounds }: Giver, key: NewKey): void => {
  requireAll(permissions, key.permissions)
  const more = bounds ? beyond(bounds, key) : undefined
  if (more !== undefined) throw new OmiumError('forbidden', `you cannot give what you do not have: ${more}`)
}

/** @throws OmiumError `forbidden`, saying what is too much */
export const requireMayAppoint = (
  { permissions, session }: Pick<Caller, 'permissions' | 'session'>,
  role: Role,
): void => {
  if (!session) requireAll(permissions, rolePermissions[role])
}

const requireAll = (held: ReadonlySet<Permission>, wanted: readonly Permission[]): void => {
  const more = wanted.filter((one) => !held.has(one))
  if (more.length > 0) throw new OmiumError('forbidden', `you cannot give what you do not have: ${more.join(', ')}`)
}

const beyond = (
  own: KeyBounds,
  { expiresAt = Number.POSITIVE_INFINITY, ranges = [], hours = [] }: NewKey,
): string | undefined => {
  if (own.expiresAt !== undefined && expiresAt > own.expiresAt)
    return `expiresAt: your key ends at ${new Date(own.expiresAt).toISOString()}`
  if (own.ranges.length > 0 && (ranges.length === 0 || !ranges.every((range) => isWithin(range, own.ranges))))
    return `ranges: your key works from ${own.ranges.join(', ')}`
  // windows in two time zones cannot be compared: the same ones, or some of them
  const known = (window: AccessHours[number]) => own.hours.some((one) => isDeepStrictEqual(one, window))
  if (own.hours.length > 0 && (hours.length === 0 || !hours.every(known)))
    return 'hours: name the windows of your key, or some of them'
  return undefined
}

/** Whether a range lies in one of the others: it begins in there, and is no larger. */
const isWithin = (range: string, others: readonly string[]): boolean => {
  const { address, bits, isV6 } = partsOf(range)
  return others.some((other) => {
    const outer = partsOf(other)
    return outer.isV6 === isV6 && outer.bits <= bits && inRanges([other], address)
  })
}

const partsOf = (range: string) => {
  const [address = '', bits] = range.split('/')
  const isV6 = address.includes(':')
  return { address, isV6, bits: bits === undefined ? (isV6 ? 128 : 32) : Number(bits) }
}
