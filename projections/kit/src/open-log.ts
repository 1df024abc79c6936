import { type LogContext, logSettings, type OpenLogOptions, openLog as openLogContext, openTail } from '@omium/log'
import { type ContextDefinition, readSettings } from '@omium/schemas'
import type { ProjectionLog } from './runner.ts'

/**
 * A context of the log, from the environment's settings, for those who read it.
 * @throws OmiumError `settings_invalid`, `log_unreachable`
 */
export const openLog = async (
  env: Record<string, string | undefined>,
  definition: ContextDefinition,
  clientId: string,
  onNotice: OpenLogOptions['onNotice'],
): Promise<ProjectionLog & { close(): Promise<void> }> => {
  const context: LogContext = await openLogContext(readSettings(env, logSettings), { definition, clientId, onNotice })
  return { context, openTail, close: () => context.transport.close() }
}
