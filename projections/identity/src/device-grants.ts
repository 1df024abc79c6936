import type { Reads } from '@omium/projection-kit'
import type { Login } from '@omium/schemas'

/** Programs that ask for a session; see schemas/src/identity/device.ts. */
export interface DeviceGrantRecord {
  readonly id: string
  /** digest */
  readonly device: string
  /** sealed */
  readonly asker: string
  readonly status: 'asked' | 'approved' | 'denied' | 'over'
  readonly expiresAt: Date
  readonly approval: {
    readonly userId: string
    readonly approvedBy: string
    readonly tenant: string
    readonly login: Login
    readonly amr: readonly string[]
    readonly authenticatedAt: number
  } | null
}

const columns = 'id, device, asker, status, expires_at AS "expiresAt", approval'

export const getDeviceGrant = async (reads: Reads, id: string): Promise<DeviceGrantRecord | undefined> => {
  const { rows } = await reads.query<DeviceGrantRecord>(
    {},
    `SELECT ${columns} FROM identity.device_grants WHERE id = $1`,
    [id],
  )
  return rows[0]
}

/** The newest one with this code (digest) that a person has not decided about. */
export const deviceGrantOfCode = async (reads: Reads, code: string): Promise<DeviceGrantRecord | undefined> => {
  const { rows } = await reads.query<DeviceGrantRecord>(
    {},
    `SELECT ${columns} FROM identity.device_grants WHERE code = $1 AND status = 'asked'
     ORDER BY expires_at DESC LIMIT 1`,
    [code],
  )
  return rows[0]
}
