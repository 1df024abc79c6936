import type { ProjectionDefinition } from '@omium/projection-kit'
import { createApplier } from './applier.ts'

/** The read models of the webhook context. Raise `codeVersion` when the same log would fill the tables differently. */
export const webhooksProjection: ProjectionDefinition = {
  name: 'webhooks',
  codeVersion: 1,
  tables: [
    { name: 'endpoints', key: ['tenant', 'id'] },
    { name: 'deliveries', key: ['tenant', 'endpoint_id', 'id'] },
    { name: 'attempts', key: ['tenant', 'endpoint_id', 'delivery_id', 'version'] },
    { name: 'replays', key: ['tenant', 'endpoint_id', 'id'] },
  ],
  createApplier,
}
