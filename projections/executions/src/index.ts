export { executionsProjection } from './definition.ts'
export { type Pending, waitingFor } from './execution-row.ts'
export { rebuild, verify } from './maintenance.ts'
export {
  type AgentRecord,
  type EventRecord,
  type ExecutionFilter,
  type ExecutionRecord,
  type FailureRecord,
  getAgent,
  getExecution,
  listAgents,
  listEngineEndpoints,
  listEvents,
  listExecutions,
  listFailures,
  listSteps,
  listTenantCharges,
  listTenantEvents,
  type StepRecord,
} from './queries.ts'
