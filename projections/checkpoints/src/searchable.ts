import { storable } from '@omium/projection-kit'
import type { CheckpointMetadata } from '@omium/schemas'

const text = (value: string): string => storable(value).toWellFormed()

/**
 * Metadata as jsonb can hold it, which refuses U+0000 and lone surrogates; what is searched for goes the same way. The state
 * itself has metadata as it was, if its program put it there.
 */
export const searchable = (metadata: CheckpointMetadata): CheckpointMetadata =>
  Object.fromEntries(
    Object.entries(metadata).map(([key, value]) => [text(key), typeof value === 'string' ? text(value) : value]),
  )
