export { identityMachine, type PartitionState } from './machine.ts'
