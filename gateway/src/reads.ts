import { type ExecutionRecord, getExecution } from '@omium/projection-executions'
import type { Position, PositionWatch } from '@omium/projection-kit'
import { aggregateKey, OmiumError } from '@omium/schemas'
import type { Services } from './services.ts'

/** How a read waits for what its caller already knows to have happened. */

const parsePosition = (text: string): Position => {
  const [partition, offset] = text.split(':').map(Number) as [number, number]
  return { partition, offset }
}

/**
 * @throws OmiumError `offset_not_reached` when the read model does not include the position within `timeoutMs`, `invalid_request` for
 * one that no write can have answered
 */
export const waitForPosition = async (
  positions: PositionWatch,
  partitions: number,
  position: string | undefined,
  timeoutMs: number,
): Promise<void> => {
  if (position === undefined) return
  const { partition, offset } = parsePosition(position)
  if (partition >= partitions || !Number.isSafeInteger(offset))
    throw new OmiumError('invalid_request', `min_position: there is no place ${position.slice(0, 40)} in the log`)
  if (await positions.reached(partition, offset, timeoutMs)) return
  throw new OmiumError(
    'offset_not_reached',
    `the read model includes partition ${partition} up to ${positions.nextOffset(partition) - 1}, not ${offset}; try again shortly`,
  )
}

/**
 * An execution that was started a moment ago is waited for rather than denied.
 * @throws OmiumError `execution_unknown`, also for executions of other tenants
 */
export const requireExecution = async (services: Services, tenant: string, id: string): Promise<ExecutionRecord> => {
  const record = await getExecution(services.reads, tenant, id)
  if (record) return record
  await services.executions.untilCurrent(aggregateKey('execution', tenant, id))
  const late = await getExecution(services.reads, tenant, id)
  if (!late) throw new OmiumError('execution_unknown', `there is no execution ${id}`)
  return late
}
