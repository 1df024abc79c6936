import type { Reads } from '@omium/projection-kit'

export interface ErasureRecord {
  readonly id: string
  readonly requestedBy: string
  readonly requestedAt: Date
  readonly completedAt: Date | null
  readonly memberships: number
  readonly invitations: number
}

/**
 * One that a tenant has asked for, of what it held itself.
 * @param tenant `omium`, with a user's id: that of a whole person
 */
export const getErasure = async (reads: Reads, tenant: string, id: string): Promise<ErasureRecord | undefined> => {
  const { rows } = await reads.query<ErasureRecord>(
    { tenant },
    `SELECT id, requested_by AS "requestedBy", requested_at AS "requestedAt", completed_at AS "completedAt", memberships,
       invitations
     FROM identity.erasures WHERE tenant = $1 AND id = $2`,
    [tenant, id],
  )
  return rows[0]
}
