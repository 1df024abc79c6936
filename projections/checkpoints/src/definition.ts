import type { ProjectionDefinition } from '@omium/projection-kit'
import { createApplier } from './applier.ts'

/** The read models of the checkpoint context. Raise `codeVersion` when the same log would fill the tables differently. */
export const checkpointsProjection: ProjectionDefinition = {
  name: 'checkpoints',
  codeVersion: 1,
  tables: [
    { name: 'checkpoints', key: ['tenant', 'thread', 'namespace', 'id'] },
    { name: 'writes', key: ['tenant', 'thread', 'namespace', 'id', 'version'] },
    { name: 'retentions', key: ['tenant', 'thread'] },
  ],
  createApplier,
}
