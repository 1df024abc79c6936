import { partitionFor } from '@omium/log'
import { getVersion } from '@omium/projection-workflows'
import { aggregateKey, OmiumError, type WorkflowBundle } from '@omium/schemas'
import type { Services } from './services.ts'
import type { Workflows } from './workflows/service.ts'

/** Reads of the workflow context, which wait for what this gateway has told anybody. */

type Kind = 'workflow' | 'schedule' | 'trigger'

const unknownCodes = { workflow: 'workflow_unknown', schedule: 'schedule_unknown', trigger: 'trigger_unknown' } as const

/** Waits, within a bound, until the read model includes what the live tail has shown about the aggregate. */
const untilCurrent = async (
  { live, positions }: Workflows,
  kind: Kind,
  tenant: string,
  id: string,
  timeoutMs: number,
): Promise<void> => {
  const partition = partitionFor(aggregateKey(kind, tenant, id), live.partitionCount)
  await positions.reached(partition, live.nextOffset(partition) - 1, timeoutMs)
}

/** @throws OmiumError `workflow_unknown`, `schedule_unknown`, `trigger_unknown`; also for those of other tenants */
export const requireCurrent = async <T>(
  services: Services,
  kind: Kind,
  tenant: string,
  id: string,
  read: () => Promise<T | undefined>,
): Promise<T> => {
  await untilCurrent(services.workflows, kind, tenant, id, services.limits.readWaitMs)
  const record = await read()
  if (record) return record
  throw new OmiumError(unknownCodes[kind], `there is no ${kind} ${id}`)
}

/** The version that a run would have, with its bundle. @throws OmiumError `workflow_unknown`, `workflow_unpublished` */
export const requireVersion = async (
  services: Services,
  tenant: string,
  workflow: string,
  version: number | undefined,
): Promise<{ readonly version: number; readonly bundle: WorkflowBundle }> => {
  await untilCurrent(services.workflows, 'workflow', tenant, workflow, services.limits.readWaitMs)
  const record = await getVersion(services.pool, tenant, workflow, version)
  if (record)
    return {
      version: record.version,
      bundle: (await services.payloads.open(record.bundle)) as unknown as WorkflowBundle,
    }
  const first = version ?? (await getVersion(services.pool, tenant, workflow, 1))?.version
  if (version === undefined && first !== undefined)
    throw new OmiumError('workflow_unpublished', `no version of workflow ${workflow} is published`)
  const what = version === undefined ? `workflow ${workflow}` : `version ${version} of workflow ${workflow}`
  throw new OmiumError('workflow_unknown', `there is no ${what}`)
}

/** Waits until the read model includes a position that a command was answered with. */
export const reached = async ({ positions }: Workflows, position: string, timeoutMs: number): Promise<void> => {
  const [partition, offset] = position.split(':').map(Number) as [number, number]
  if (await positions.reached(partition, offset, timeoutMs)) return
  throw new OmiumError('offset_not_reached', `the read model of workflows does not include ${position} yet`)
}
