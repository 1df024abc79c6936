import { getVersion } from '@omium/projection-workflows'
import { aggregateKey, OmiumError, type WorkflowBundle } from '@omium/schemas'
import type { Services } from './services.ts'

/** Reads of the workflow context, which wait for what this gateway has told anybody. */

type Kind = 'workflow' | 'schedule' | 'trigger'

const unknownCodes = { workflow: 'workflow_unknown', schedule: 'schedule_unknown', trigger: 'trigger_unknown' } as const

/** @throws OmiumError `workflow_unknown`, `schedule_unknown`, `trigger_unknown`; also for those of other tenants */
export const requireCurrent = async <T>(
  services: Services,
  kind: Kind,
  tenant: string,
  id: string,
  read: () => Promise<T | undefined>,
): Promise<T> => {
  await services.workflows.untilCurrent(aggregateKey(kind, tenant, id))
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
  await services.workflows.untilCurrent(aggregateKey('workflow', tenant, workflow))
  const record = await getVersion(services.reads, tenant, workflow, version)
  if (record)
    return {
      version: record.version,
      bundle: (await services.payloads.open(record.bundle)) as unknown as WorkflowBundle,
    }
  const first = version ?? (await getVersion(services.reads, tenant, workflow, 1))?.version
  if (version === undefined && first !== undefined)
    throw new OmiumError('workflow_unpublished', `no version of workflow ${workflow} is published`)
  const what = version === undefined ? `workflow ${workflow}` : `version ${version} of workflow ${workflow}`
  throw new OmiumError('workflow_unknown', `there is no ${what}`)
}
