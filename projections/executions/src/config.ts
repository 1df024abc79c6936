import { readSettings } from '@omium/schemas'

/** @throws OmiumError `settings_invalid` with everything that is wrong */
export const readConfig = (env: Record<string, string | undefined>) => {
  const settings = readSettings(env, ['OMIUM_DATABASE_URL', 'OMIUM_PROJECTIONS_PORT', 'OMIUM_LOG_LEVEL'])
  return {
    databaseUrl: settings.OMIUM_DATABASE_URL,
    port: settings.OMIUM_PROJECTIONS_PORT,
    logLevel: settings.OMIUM_LOG_LEVEL,
  }
}
