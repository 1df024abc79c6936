export { type AppliedMigration, migrate } from './migrate.ts'
export { hashApiKey, type SeedTenantOptions, seedTenant } from './seed-tenant.ts'
