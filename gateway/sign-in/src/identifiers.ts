import { hashJson, type IdKind, idPrefixes } from '@omium/schemas'

/** The same parts give the same id: what is tried again after a crash or a double click is the same command on the same thing. */
export const derivedId = (kind: IdKind, ...parts: readonly string[]): string =>
  `${idPrefixes[kind]}_${hashJson([kind, ...parts]).slice(0, 40)}`
