import type { Pool } from 'pg'

export interface ErasureRecord {
  readonly id: string
  readonly requestedBy: string
  readonly requestedAt: Date
  readonly completedAt: Date | null
  readonly memberships: number
  readonly invitations: number
}

/** @param tenant `omium` for erasures of whole people */
export const getErasure = async (pool: Pool, tenant: string, id: string): Promise<ErasureRecord | undefined> => {
  const { rows } = await pool.query<ErasureRecord>(
    `SELECT id, requested_by AS "requestedBy", requested_at AS "requestedAt", completed_at AS "completedAt", memberships,
       invitations
     FROM identity.erasures WHERE tenant = $1 AND id = $2`,
    [tenant, id],
  )
  return rows[0]
}
