import type { ProjectionDefinition } from '@omium/projection-kit'
import { createApplier } from './applier.ts'

/** The read models of the recovery context. Raise `codeVersion` when the same log would fill the tables differently. */
export const recoveriesProjection: ProjectionDefinition = {
  name: 'recoveries',
  codeVersion: 1,
  tables: [
    { name: 'incidents', key: ['tenant', 'id'] },
    { name: 'history', key: ['tenant', 'incident_id', 'version'] },
    { name: 'tries', key: ['tenant', 'incident_id', 'plan'] },
    { name: 'policies', key: ['tenant', 'name', 'version'] },
    { name: 'policy_heads', key: ['tenant', 'name'] },
  ],
  createApplier,
}
