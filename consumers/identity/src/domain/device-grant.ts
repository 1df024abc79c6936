import type { DeviceGrantCommand, DeviceGrantEvent } from '@omium/schemas'
import { type Asked, type Decision, decided, refused } from './decision.ts'

/**
 * A program's request for a session, and what a person says to it (RFC 8628).
 *
 * 1. A person decides once, with the code that the program shows. Another decision is refused; the same again is nothing new.
 * 2. What was approved is redeemed once, by the program that asked, as the person who approved; whoever comes second hears no
 *    more than a stranger.
 * 3. After `expiresAt` by the owner's clock nothing is decided any more, and the grant is closed.
 * 4. Whoever does not know the code is told the same whatever is wrong.
 */
export interface DeviceGrantState {
  readonly correlationId: string
  readonly device: string
  readonly code: string
  readonly expiresAt: number
  readonly status: 'asked' | 'approved' | 'denied' | 'over'
  /** who decided */
  readonly userId?: string
}

export const evolveDeviceGrant = (
  state: DeviceGrantState | undefined,
  { type, data }: DeviceGrantEvent,
  correlationId: string,
): DeviceGrantState => {
  if (type === 'DeviceGrantRequested') {
    const { device, code, expiresAt } = data
    return { correlationId, device, code, expiresAt, status: 'asked' }
  }
  if (!state) throw new RangeError(`${type} of a device that never asked`)
  switch (type) {
    case 'DeviceGrantApproved':
      return { ...state, status: 'approved', userId: data.userId }
    case 'DeviceGrantDenied':
      return { ...state, status: 'denied', userId: data.userId }
    case 'DeviceGrantRedeemed':
    case 'DeviceGrantExpired':
      return { ...state, status: 'over' }
  }
}

const unusable = () =>
  refused<DeviceGrantEvent>('sign_in_expired', 'this code was used, has expired, or was never given out')

export const decideDeviceGrant = (
  state: DeviceGrantState | undefined,
  { type, data }: DeviceGrantCommand,
  { actor, nowMs }: Asked,
): Decision<DeviceGrantEvent> => {
  if (type === 'RequestDeviceGrant') {
    if (state) return refused('identity_conflict', 'a device asked under this id before')
    return decided({ type: 'DeviceGrantRequested', data })
  }
  if (!state || state.status === 'over' || nowMs >= state.expiresAt) return unusable()
  if (type === 'RedeemDeviceGrant') {
    if (state.status !== 'approved' || state.device !== data.device) return unusable()
    return decided({ type: 'DeviceGrantRedeemed', data: { sessionId: data.sessionId, at: nowMs } })
  }
  const { code, ...decision } = data
  if (state.code !== code) return unusable()
  if (actor !== `user:${decision.userId}`) return refused('forbidden', 'everybody lets devices in for themselves')
  const meant = type === 'ApproveDeviceGrant' ? 'approved' : 'denied'
  if (state.status !== 'asked')
    return state.status === meant && state.userId === decision.userId ? decided() : unusable()
  return decided(
    type === 'ApproveDeviceGrant'
      ? {
          type: 'DeviceGrantApproved',
          data: decision as Extract<DeviceGrantEvent, { type: 'DeviceGrantApproved' }>['data'],
        }
      : { type: 'DeviceGrantDenied', data: { userId: decision.userId } },
  )
}

/** Nothing follows these. */
export const endsDeviceGrant = (type: string): boolean =>
  type === 'DeviceGrantRedeemed' || type === 'DeviceGrantExpired'
