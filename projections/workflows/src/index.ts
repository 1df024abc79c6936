export { workflowsProjection } from './definition.ts'
export {
  type FiringRecord,
  getSchedule,
  getTrigger,
  getVersion,
  getWorkflow,
  listFirings,
  listRuns,
  listSchedules,
  listTriggers,
  listVersions,
  listWorkflows,
  type RunRecord,
  type ScheduleRecord,
  type TriggerRecord,
  type VersionRecord,
  type WorkflowRecord,
} from './queries.ts'
