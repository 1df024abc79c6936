export { type EventContext, type ExecutionState, evolve } from './domain/execution.ts'
