import type { Reads } from '@omium/projection-kit'
import type { FactorKind } from '@omium/schemas'

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
export const factorsOf = async (reads: Reads, userId: string): Promise<readonly FactorRecord[]> => {
  const { rows } = await reads.query<FactorRecord>(
    { user: userId },
    `SELECT id, kind, label, material, added_at AS "addedAt", used_at AS "usedAt", suspected_at AS "suspectedAt"
     FROM identity.factors WHERE user_id = $1 ORDER BY added_at, id LIMIT 100`,
    [userId],
  )
  return rows
}

/** What kinds of factors a user has. */
export const factorKindsOf = async (reads: Reads, userId: string): Promise<readonly FactorKind[]> => {
  const { rows } = await reads.query<{ kind: FactorKind }>(
    { user: userId },
    {
      name: 'factor-kinds',
      text: 'SELECT DISTINCT kind FROM identity.factors WHERE user_id = $1 ORDER BY kind',
      values: [userId],
    },
  )
  return rows.map(({ kind }) => kind)
}

/** Digests of the recovery codes that a user has not used yet. */
export const recoveryCodesOf = async (reads: Reads, userId: string): Promise<readonly string[]> => {
  const { rows } = await reads.query<{ code: string }>(
    { user: userId },
    'SELECT code FROM identity.recovery_codes WHERE user_id = $1 ORDER BY code',
    [userId],
  )
  return rows.map(({ code }) => code)
}
