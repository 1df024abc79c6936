import type { ProjectionDefinition } from '@omium/projection-kit'
import { createApplier } from './applier.ts'

/** The read models of the workflow context. Raise `codeVersion` when the same log would fill the tables differently. */
export const workflowsProjection: ProjectionDefinition = {
  name: 'workflows',
  codeVersion: 2,
  tables: [
    { name: 'workflows', key: ['tenant', 'id'] },
    { name: 'versions', key: ['tenant', 'workflow', 'version'] },
    { name: 'runs', key: ['tenant', 'id'] },
    { name: 'schedules', key: ['tenant', 'id'] },
    { name: 'firings', key: ['tenant', 'schedule', 'nominal_at'] },
    { name: 'triggers', key: ['tenant', 'id'] },
  ],
  createApplier,
}
