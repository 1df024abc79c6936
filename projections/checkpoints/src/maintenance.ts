import { maintenanceOf } from '@omium/projection-kit'
import { checkpointContext } from '@omium/schemas'
import { checkpointsProjection } from './definition.ts'

export const { rebuild, verify } = maintenanceOf(checkpointsProjection, checkpointContext)
