import type { ContextDefinition } from './catalogue.ts'
import { checkpointContext } from './checkpoint/commands.ts'
import { executionContext } from './execution/commands.ts'
import { identityContext } from './identity/commands.ts'
import { recoveryContext } from './recovery/commands.ts'
import { webhookContext } from './webhook/commands.ts'
import { workflowContext } from './workflow/commands.ts'

/** Every context of the platform: what is provisioned, registered and kept compatible. */
export const contexts = [
  executionContext,
  checkpointContext,
  recoveryContext,
  workflowContext,
  identityContext,
  webhookContext,
] as const satisfies readonly ContextDefinition[]
