export { workflowMachine } from './machine.ts'
