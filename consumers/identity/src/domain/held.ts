/**
 * What a state holds under a name that somebody else chose. Every object answers to `constructor` and the like: those are no
 * members, no invitations and no factors.
 */
export const held = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined
