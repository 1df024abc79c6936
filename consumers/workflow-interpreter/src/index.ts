export { workflowAgent } from './agent.ts'
