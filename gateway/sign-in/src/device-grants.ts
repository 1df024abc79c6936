import { createHmac, randomBytes, randomInt } from 'node:crypto'
import type { SessionCaller } from '@omium/access'
import type { DeviceGrantRecord } from '@omium/projection-identity'
import { aggregateKey, type IdSource, type Login, OmiumError, platformTenant } from '@omium/schemas'
import { z } from 'zod'
import type { SignedIn } from './accounts.ts'
import { derivedKey } from './derived-keys.ts'
import type { IdentityCommands, IdentityReads } from './ports.ts'
import { createSealedTokens } from './sealed-token.ts'
import type { Proof } from './sessions.ts'

/**
 * Sessions for programs without a browser (RFC 8628).
 *
 * 1. The program's code is the grant's id and 256 random bits; the person's code is eight letters, good for ten minutes and one
 *    decision. The log and the database have keyed digests of both.
 * 2. From where the program asked is sealed under a key that takes the person's code to make: nobody reads it without.
 * 3. A person types the code; no link carries it, so that one cannot be made to let somebody else's program in by a click.
 * 4. The session begins as the person who let it in, in their tenant, with the proof that they had given, once, and while the
 *    session in which they did is open.
 */
export interface DeviceGrants {
  /** @param address from where the program asks */
  request(address: string, correlationId: string): Promise<RequestedGrant>
  /** What asks, by the person's code. @throws OmiumError `sign_in_expired` for a code that is none, or none any more */
  review(userCode: string): Promise<{ readonly userCode: string; readonly address: string }>
  /** @throws OmiumError `sign_in_expired` */
  decide(userCode: string, person: SessionCaller, decision: 'approved' | 'denied', correlationId: string): Promise<void>
  /** How the program's request stands; `id` is for counting, of whatever looks like a code. */
  look(deviceCode: string): Promise<GrantStatus>
  /** Once. @throws OmiumError `sign_in_expired` when it was redeemed before */
  redeem(deviceCode: string, sessionId: string, correlationId: string): Promise<{ signedIn: SignedIn; proof: Proof }>
}

export interface RequestedGrant {
  readonly deviceCode: string
  /** as people read it: `BCDF-GHJK` */
  readonly userCode: string
}
export type GrantStatus = 'unknown' | 'expired' | 'asked' | 'approved' | 'denied'

export const deviceGrantMs = 10 * 60_000

/** no vowels, so that no words come about (RFC 8628, 6.1) */
const letters = 'BCDFGHJKLMNPQRSTVWXZ'
const codeLength = 8
const userCodeShape = new RegExp(`^[${letters}]{${codeLength}}$`)
const deviceCodeShape = /^(dvc_[0-9a-f]{32})\.([A-Za-z0-9_-]{43})$/

const readable = (code: string): string => `${code.slice(0, codeLength / 2)}-${code.slice(codeLength / 2)}`

export interface DeviceGrantsOptions {
  readonly identity: IdentityCommands
  readonly reads: IdentityReads
  readonly tokenSecret: string
  readonly ids: IdSource
  readonly nowMs: () => number
}

const askerContent = z.object({ address: z.string() })

export const createDeviceGrants = ({ identity, reads, tokenSecret, ids, nowMs }: DeviceGrantsOptions): DeviceGrants => {
  const key = derivedKey(tokenSecret, 'device-grant')
  const mac = (kind: 'device' | 'code' | 'asker', value: string): Buffer =>
    createHmac('sha256', key).update(`${kind}:${value}`).digest()
  const digest = (kind: 'device' | 'code', value: string): string => mac(kind, value).toString('hex')
  const askerOf = (code: string) => createSealedTokens(mac('asker', code), askerContent, nowMs)
  const aggregateOf = (id: string): string => aggregateKey('device_grant', platformTenant, id)
  const none = () => new OmiumError('sign_in_expired', 'this code was used, has expired, or was never given out')

  const typed = (userCode: string): string => {
    const code = userCode.toUpperCase().replaceAll(/[^A-Z]/g, '')
    if (!userCodeShape.test(code)) throw none()
    return code
  }
  const ofCode = async (code: string): Promise<DeviceGrantRecord> => {
    const grant = await reads.deviceGrantOfCode(digest('code', code))
    if (!grant || grant.expiresAt.getTime() <= nowMs()) throw none()
    return grant
  }
  /** The grant of a program's code; undefined for whatever is no such code. */
  const ofDevice = async (deviceCode: string): Promise<{ grant: DeviceGrantRecord; device: string } | undefined> => {
    const id = deviceCodeShape.exec(deviceCode)?.[1]
    const grant = id === undefined ? undefined : await reads.deviceGrant(id)
    // digests under a key of ours: how long the comparison takes tells nothing
    return grant?.device === digest('device', deviceCode) ? { grant, device: grant.device } : undefined
  }

  return {
    request: async (address, correlationId) => {
      const id = ids('deviceGrant')
      const deviceCode = `${id}.${randomBytes(32).toString('base64url')}`
      const code = Array.from({ length: codeLength }, () => letters[randomInt(letters.length)]).join('')
      const asker = await askerOf(code).seal({ address }, deviceGrantMs)
      const data = {
        device: digest('device', deviceCode),
        code: digest('code', code),
        asker,
        expiresAt: nowMs() + deviceGrantMs,
      }
      const by = { tenant: platformTenant, actor: 'sign-in', correlationId }
      await identity.execute(by, aggregateOf(id), ids('command'), { type: 'RequestDeviceGrant', data })
      // the program may show the code now, and the page knows it
      await identity.untilCurrent(aggregateOf(id))
      return { deviceCode, userCode: readable(code) }
    },
    review: async (userCode) => {
      const code = typed(userCode)
      const { address } = await askerOf(code).open((await ofCode(code)).asker)
      return { userCode: readable(code), address }
    },
    decide: async (userCode, person, decision, correlationId) => {
      const code = typed(userCode)
      const { id } = await ofCode(code)
      const { userId, sessionId, tenant, amr, authenticatedAt } = person
      const login = (await reads.session(userId, sessionId))?.login as Login | undefined
      if (!login) throw new OmiumError('session_ended', 'sign in again')
      const by = { tenant: platformTenant, actor: `user:${userId}`, correlationId }
      await identity.execute(
        by,
        aggregateOf(id),
        ids('command'),
        decision === 'approved'
          ? {
              type: 'ApproveDeviceGrant',
              data: {
                userId,
                approvedBy: sessionId,
                tenant,
                login,
                amr: [...amr],
                authenticatedAt,
                code: digest('code', code),
              },
            }
          : { type: 'DenyDeviceGrant', data: { userId, code: digest('code', code) } },
      )
      await identity.untilCurrent(aggregateOf(id))
    },
    look: async (deviceCode) => {
      const { grant } = (await ofDevice(deviceCode)) ?? {}
      if (!grant) return 'unknown'
      if (grant.expiresAt.getTime() <= nowMs()) return 'expired'
      return grant.status === 'over' ? 'unknown' : grant.status
    },
    redeem: async (deviceCode, sessionId, correlationId) => {
      const { grant, device } = (await ofDevice(deviceCode)) ?? {}
      if (!grant?.approval || device === undefined) throw none()
      const { userId, approvedBy, tenant, login, amr, authenticatedAt } = grant.approval
      const by = { tenant: platformTenant, actor: `user:${userId}`, correlationId }
      await identity.execute(by, aggregateOf(grant.id), ids('command'), {
        type: 'RedeemDeviceGrant',
        data: { device, sessionId },
      })
      return { signedIn: { userId, tenant, login }, proof: { amr, authenticatedAt, client: 'cli', approvedBy } }
    },
  }
}
