import {
  type Comparison,
  createPool,
  openLog,
  type RebuildResult,
  rebuild as rebuildProjection,
  verify as verifyProjection,
} from '@omium/projection-kit'
import { executionContext } from '@omium/schemas'
import { executionsProjection } from './definition.ts'

/** Rebuild and verification from the environment's settings, for the CLI; both work while the live projection runs. */
export interface MaintenanceOptions {
  readonly env: Record<string, string | undefined>
  readonly databaseUrl: string
  readonly onProgress?: (progress: { events: number; lag: number }) => void
  readonly onNotice?: (notice: { level: string; message: string; fields: Record<string, unknown> }) => void
}

const withLog = async <T>(
  { env, databaseUrl, onNotice = () => undefined }: MaintenanceOptions,
  use: (parts: {
    definition: typeof executionsProjection
    log: Awaited<ReturnType<typeof openLog>>
    pool: ReturnType<typeof createPool>
  }) => Promise<T>,
): Promise<T> => {
  const log = await openLog(env, executionContext, 'omium-projection-maintenance', onNotice)
  const pool = createPool(databaseUrl, { max: 6, application_name: 'omium-projection-maintenance' })
  try {
    return await use({ definition: executionsProjection, log, pool })
  } finally {
    await pool.end()
    await log.close()
  }
}

/** Fills a new generation beside the live one, compares both, and switches; see the kit's rebuild.ts. */
export const rebuild = (
  options: MaintenanceOptions & { readonly acceptDifference?: boolean },
): Promise<RebuildResult> =>
  withLog(options, (parts) =>
    rebuildProjection({
      ...parts,
      ...(options.acceptDifference !== undefined && { acceptDifference: options.acceptDifference }),
      ...(options.onProgress && { onProgress: options.onProgress }),
    }),
  )

/** Says whether the live read models hold exactly what the log says, and the first difference. */
export const verify = (options: MaintenanceOptions): Promise<Comparison> =>
  withLog(options, (parts) =>
    verifyProjection({ ...parts, ...(options.onProgress && { onProgress: options.onProgress }) }),
  )
