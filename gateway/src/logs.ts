import type { OpenLogOptions } from '@omium/log'
import { openLog, type ProjectionLog } from '@omium/projection-kit'
import {
  type ContextDefinition,
  checkpointContext,
  executionContext,
  identityContext,
  recoveryContext,
  webhookContext,
  workflowContext,
} from '@omium/schemas'

/** One for each context that the gateway takes part in. */
export interface GatewayLogs {
  readonly execution: ProjectionLog
  readonly recovery: ProjectionLog
  readonly checkpoint: ProjectionLog
  readonly workflow: ProjectionLog
  readonly identity: ProjectionLog
  readonly webhook: ProjectionLog
}

/** Opens all of them, from the environment's settings. @throws OmiumError `settings_invalid`, `log_unreachable` */
export const openGatewayLogs = async (
  env: Record<string, string | undefined>,
  clientId: string,
  onNotice: OpenLogOptions['onNotice'],
): Promise<{ logs: GatewayLogs; close(): Promise<void> }> => {
  const opened: Awaited<ReturnType<typeof openLog>>[] = []
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((log) => log.close()))
  }
  const open = async (definition: ContextDefinition): Promise<ProjectionLog> => {
    const log = await openLog(env, definition, clientId, onNotice)
    opened.push(log)
    return log
  }
  try {
    const [execution, recovery, checkpoint, workflow, identity, webhook] = await Promise.all([
      open(executionContext),
      open(recoveryContext),
      open(checkpointContext),
      open(workflowContext),
      open(identityContext),
      open(webhookContext),
    ])
    return { logs: { execution, recovery, checkpoint, workflow, identity, webhook }, close }
  } catch (error) {
    await close()
    throw error
  }
}
