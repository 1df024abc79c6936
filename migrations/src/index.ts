export { type AppliedMigration, migrate } from './migrate.ts'
