import type { Pool } from 'pg'

/** The wrapped data keys of subjects. `wrapped` is null for ever once the key is destroyed. */
export interface SubjectKey {
  readonly version: number
  readonly wrapped: Uint8Array | null
}

export interface SubjectKeys {
  /** undefined: never was */
  find(subject: string, version: number): Promise<SubjectKey | undefined>
  newest(subject: string): Promise<SubjectKey | undefined>
  /** adds the key of a version, unless there is one; returns the newest that is there then */
  add(subject: string, version: number, wrapped: Uint8Array): Promise<SubjectKey>
  /** destroys every key that the subject has, and of an address those of what tenants hold of it. Idempotent */
  destroy(subject: string): Promise<void>
}

/** addresses are subjects by their digest, and so is what a tenant holds of one, with the tenant's after it */
const addressPattern = /^[0-9a-f]{64}$/

export const createSubjectKeys = (pool: Pool): SubjectKeys => {
  const one = async (text: string, values: unknown[]): Promise<SubjectKey | undefined> =>
    (await pool.query<SubjectKey>(text, values)).rows[0]
  const newest: SubjectKeys['newest'] = (subject) =>
    one('SELECT version, wrapped FROM subject_keys WHERE subject = $1 ORDER BY version DESC LIMIT 1', [subject])
  return {
    newest,
    find: (subject, version) =>
      one('SELECT version, wrapped FROM subject_keys WHERE subject = $1 AND version = $2', [subject, version]),
    add: async (subject, version, wrapped) => {
      await pool.query(
        'INSERT INTO subject_keys (subject, version, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
        [subject, version, wrapped],
      )
      return (await newest(subject)) as SubjectKey
    },
    destroy: async (subject) => {
      await pool.query(
        `UPDATE subject_keys SET wrapped = NULL, destroyed_at = now()
         WHERE wrapped IS NOT NULL AND (subject = $1 OR ($2 AND starts_with(subject, $1 || '-')))`,
        [subject, addressPattern.test(subject)],
      )
    },
  }
}
