import type { ContextDefinition } from '@omium/schemas'
import { createPool } from './database.ts'
import type { ProjectionDefinition } from './definition.ts'
import { openLog } from './open-log.ts'
import { type Comparison, type RebuildResult, rebuild, verify } from './rebuild.ts'

/** Rebuild and verification from the environment's settings, for the CLI; both work while the live projection runs. */
export interface MaintenanceOptions {
  readonly env: Record<string, string | undefined>
  readonly databaseUrl: string
  readonly onProgress?: (progress: { events: number; lag: number }) => void
  readonly onNotice?: (notice: { level: string; message: string; fields: Record<string, unknown> }) => void
}

export interface Maintenance {
  /** Fills a new generation beside the live one, compares both, and switches; see rebuild.ts. */
  rebuild(options: MaintenanceOptions & { readonly acceptDifference?: boolean }): Promise<RebuildResult>
  /** Says whether the live read models hold exactly what the log says, and the first difference. */
  verify(options: MaintenanceOptions): Promise<Comparison>
}

/** @param context whose events the projection applies */
export const maintenanceOf = (definition: ProjectionDefinition, context: ContextDefinition): Maintenance => {
  const withLog = async <T>(
    { env, databaseUrl, onProgress, onNotice = () => undefined }: MaintenanceOptions,
    use: (parts: Parameters<typeof verify>[0]) => Promise<T>,
  ): Promise<T> => {
    const log = await openLog(env, context, 'omium-projection-maintenance', onNotice)
    const pool = createPool(databaseUrl, { max: 6, application_name: 'omium-projection-maintenance' })
    try {
      return await use({ definition, log, pool, ...(onProgress && { onProgress }) })
    } finally {
      await pool.end()
      await log.close()
    }
  }
  return {
    rebuild: ({ acceptDifference, ...options }) =>
      withLog(options, (parts) => rebuild({ ...parts, ...(acceptDifference !== undefined && { acceptDifference }) })),
    verify: (options) => withLog(options, verify),
  }
}
