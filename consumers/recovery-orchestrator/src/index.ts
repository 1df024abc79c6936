export { recoveryMachine } from './machine.ts'
export { Orchestrator, type OrchestratorOptions } from './orchestrator.ts'
