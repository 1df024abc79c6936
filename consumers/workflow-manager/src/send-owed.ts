import { bySystem } from '@omium/kit'
import type { CommandDraft } from '@omium/log'
import { aggregateKey, type ErrorCode, OmiumError, type WorkflowContextEvent } from '@omium/schemas'
import type { Owed } from './domain/owed.ts'
import type { WorkflowState } from './domain/workflow.ts'
import type { HostedPartition } from './hosted-partition.ts'
import type { Commands, Measures, Payloads } from './ports.ts'
import { cancelCommand, startCommand } from './start.ts'

export interface SendOwedPort {
  /** to the log of executions */
  readonly executions: Commands
  readonly payloads: Payloads
  readonly measures: Pick<Measures, 'started'>
}

const unforeseen = (error: unknown) =>
  ['workflow_failed', `the run cannot be started: ${error instanceof Error ? error.message : error}`] as const

/**
 * Sends one thing that an aggregate owes and records the receipt. A run that can never be started ends as refused.
 * @throws whatever may succeed later
 */
export const createSendOwed =
  ({ executions, payloads, measures }: SendOwedPort) =>
  async (partition: HostedPartition, aggregate: string, owed: Owed): Promise<void> => {
    const { workflows, schedules, triggers } = partition.state
    const state = workflows.get(aggregate) ?? schedules.get(aggregate) ?? triggers.get(aggregate)
    if (!state) return
    const { tenant } = state
    const by = bySystem(state)
    const receipt = async (event: WorkflowContextEvent): Promise<void> => {
      await partition.record(aggregate, [event], by)
    }
    if (owed.what === 'command') {
      const { type, data } = owed.command
      const to = aggregateKey(owed.to.type, tenant, owed.to.id)
      await partition.log.send({ id: owed.id, type, data, aggregate: to, ...by })
      if (owed.receipt) await receipt({ type: owed.receipt.type, data: { runId: owed.receipt.runId } })
      return
    }
    const workflow = state as WorkflowState
    const { run } = owed
    if (owed.what === 'cancel') {
      await executions.send(cancelCommand(workflow, run, owed.id))
      return
    }
    const refuse = (code: ErrorCode, detail: string): Promise<void> =>
      receipt({
        type: 'WorkflowRunEnded',
        data: { runId: run.runId, end: { status: 'refused', code, detail: detail.slice(0, 8192) } },
      })
    let command: CommandDraft
    try {
      command = await startCommand(workflow, run, owed.id, payloads)
    } catch (error) {
      if (error instanceof OmiumError && error.retryable) throw error
      // whatever a definition trips over, it trips over again; the other runs of the workflow must not wait for it
      return refuse(...(error instanceof OmiumError ? ([error.code, error.message] as const) : unforeseen(error)))
    }
    try {
      await executions.send(command)
    } catch (error) {
      if (!(error instanceof OmiumError) || error.retryable) throw error
      return refuse(error.code, error.message)
    }
    measures.started()
    await receipt({ type: 'WorkflowRunStarted', data: { runId: run.runId } })
  }
