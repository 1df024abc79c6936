import type { FactorKind } from '@omium/schemas'
import type { Pool } from 'pg'

/** Second factors of users, which belong to no tenant. Labels and material come sealed. */

export interface FactorRecord {
  readonly id: string
  readonly kind: FactorKind
  /** sealed */
  readonly label: string
  /** sealed: the secret of an authenticator app, or a credential as JSON */
  readonly material: string
  readonly addedAt: Date
  readonly usedAt: Date | null
  /** when its counter went back */
  readonly suspectedAt: Date | null
}

/** The longest there first. */
export const factorsOf = async (pool: Pool, userId: string): Promise<readonly FactorRecord[]> => {
  const { rows } = await pool.query<FactorRecord>(
    `SELECT id, kind, label, material, added_at AS "addedAt", used_at AS "usedAt", suspected_at AS "suspectedAt"
     FROM identity.factors WHERE user_id = $1 ORDER BY added_at, id LIMIT 100`,
    [userId],
  )
  return rows
}

/** What kinds of factors a user has. */
export const factorKindsOf = async (pool: Pool, userId: string): Promise<readonly FactorKind[]> => {
  const { rows } = await pool.query<{ kind: FactorKind }>({
    name: 'factor-kinds',
    text: 'SELECT DISTINCT kind FROM identity.factors WHERE user_id = $1 ORDER BY kind',
    values: [userId],
  })
  return rows.map(({ kind }) => kind)
}

export const recoveryCodesLeft = async (pool: Pool, userId: string): Promise<number> => {
  const { rows } = await pool.query<{ left: number }>(
    'SELECT count(*)::int AS left FROM identity.recovery_codes WHERE user_id = $1',
    [userId],
  )
  return rows[0]?.left ?? 0
}
