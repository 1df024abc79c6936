import { maintenanceOf } from '@omium/projection-kit'
import { executionContext } from '@omium/schemas'
import { executionsProjection } from './definition.ts'

export const { rebuild, verify } = maintenanceOf(executionsProjection, executionContext)
