export { type ExecutionState, evolve } from './domain/execution.ts'
export { Engine, type EngineOptions } from './engine.ts'
export { executionMachine, type PartitionState } from './machine.ts'
export { type ReplayOptions, type ReplayReport, replayExecution } from './replay.ts'
