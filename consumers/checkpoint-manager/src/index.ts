export { CheckpointManager, type ManagerOptions } from './manager.ts'
