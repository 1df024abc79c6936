export { maintenanceNamed } from './projections.ts'
