import type { ProjectionDefinition } from '@omium/projection-kit'
import { createApplier } from './applier.ts'

/** The read models of the execution context. Raise `codeVersion` when the same log would fill the tables differently. */
export const executionsProjection: ProjectionDefinition = {
  name: 'executions',
  codeVersion: 2,
  tables: [
    { name: 'executions', key: ['tenant', 'id'] },
    { name: 'events', key: ['tenant', 'execution_id', 'version'] },
    { name: 'failures', key: ['tenant', 'time', 'execution_id', 'version'] },
    { name: 'agents', key: ['tenant', 'agent'] },
    { name: 'partition_owners', key: ['partition'] },
  ],
  createApplier,
}
