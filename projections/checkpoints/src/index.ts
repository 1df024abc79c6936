export { checkpointsProjection } from './definition.ts'
export {
  type CheckpointFilter,
  type CheckpointOrder,
  type CheckpointRecord,
  getCheckpoint,
  getRetention,
  listCheckpoints,
  listWrites,
  type WritesRecord,
} from './queries.ts'
