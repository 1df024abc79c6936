import { checkpointsProjection } from '@omium/projection-checkpoints'
import { executionsProjection } from '@omium/projection-executions'
import { identityProjection } from '@omium/projection-identity'
import { type Maintenance, maintenanceOf, type ProjectionDefinition } from '@omium/projection-kit'
import { recoveriesProjection } from '@omium/projection-recoveries'
import { webhooksProjection } from '@omium/projection-webhooks'
import { workflowsProjection } from '@omium/projection-workflows'
import {
  type ContextDefinition,
  checkpointContext,
  executionContext,
  identityContext,
  OmiumError,
  recoveryContext,
  webhookContext,
  workflowContext,
} from '@omium/schemas'

/** Every projection, with the context whose events it applies: the one list of them. */
export const projections: readonly (readonly [ProjectionDefinition, ContextDefinition])[] = [
  [executionsProjection, executionContext],
  [checkpointsProjection, checkpointContext],
  [recoveriesProjection, recoveryContext],
  [workflowsProjection, workflowContext],
  [identityProjection, identityContext],
  [webhooksProjection, webhookContext],
]

/** Rebuild and verification of one of them. @throws OmiumError `invalid_request` naming those that there are */
export const maintenanceNamed = (name: string): Maintenance => {
  const found = projections.find(([definition]) => definition.name === name)
  if (found) return maintenanceOf(...found)
  const names = projections.map(([definition]) => definition.name).join(', ')
  throw new OmiumError('invalid_request', `there is no projection "${name}"; there are ${names}`)
}
