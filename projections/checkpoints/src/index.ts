export { checkpointsProjection } from './definition.ts'
export {
  buildsOnDamage,
  type CheckpointFilter,
  type CheckpointOrder,
  type CheckpointRecord,
  getCheckpoint,
  getRetention,
  listCheckpoints,
  listWrites,
  type WritesRecord,
} from './queries.ts'
