export { type AppliedMigration, type MigrateOptions, migrate } from './migrate.ts'
