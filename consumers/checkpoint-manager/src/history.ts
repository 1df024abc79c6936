import { type LogContext, readAggregate } from '@omium/log'
import { aggregateKey, type ExecutionEvent, JournalCollector, OmiumError } from '@omium/schemas'
import type { RunHistory } from './ports.ts'
import { journalOf, type OpenPayload } from './run-checkpoints.ts'

/** Histories of runs, read from the execution events topic itself. */
export const createRunHistory = (context: LogContext, open: OpenPayload): RunHistory => ({
  async journalAt(tenant, executionId, version) {
    const collector = new JournalCollector()
    const aggregate = aggregateKey('execution', tenant, executionId)
    const reached = await readAggregate(context, { aggregate, version }, ({ type, data }) =>
      collector.add({ type, data } as ExecutionEvent),
    )
    if (reached < version) {
      throw new OmiumError(
        'execution_unknown',
        `the log has execution ${executionId} up to version ${reached}, not ${version}`,
      )
    }
    return journalOf(collector, open)
  },
})
