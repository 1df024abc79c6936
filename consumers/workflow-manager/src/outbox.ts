import type { CommandDraft } from '@omium/log'
import { aggregateKey, type ErrorCode, OmiumError, type WorkflowContextEvent } from '@omium/schemas'
import type { Owed } from './domain/owed.ts'
import type { WorkflowState } from './domain/workflow.ts'
import type { HostedPartition } from './hosted-partition.ts'
import type { Executions, Measures, Notices, Payloads } from './ports.ts'
import { cancelCommand, startCommand } from './start.ts'

/**
 * Sends what aggregates owe, each aggregate's in order, again and again until it is on a log or the partition belongs to
 * somebody else, who then sends it. A run that can never be started ends as refused.
 */
export interface OutboxPort {
  readonly executions: Executions
  readonly payloads: Payloads
  readonly notices: Notices
  readonly measures: Measures
  delay(ms: number): Promise<unknown>
}

const firstDelayMs = 100
const maxDelayMs = 5_000

const unforeseen = (error: unknown) =>
  ['workflow_failed', `the run cannot be started: ${error instanceof Error ? error.message : error}`] as const

export class Outbox {
  readonly #port: OutboxPort

  constructor(port: OutboxPort) {
    this.#port = port
  }

  send(partition: HostedPartition, aggregate: string, owed: readonly Owed[]): void {
    const { sending } = partition
    const job = async (): Promise<void> => {
      for (const one of owed) if (!(await this.#untilSent(partition, aggregate, one))) return
    }
    const fault = (err: unknown) => this.#port.notices.error({ err, aggregate }, 'sending what is owed failed')
    const sent = (sending.get(aggregate) ?? Promise.resolve())
      .then(job)
      .catch(fault)
      .finally(() => {
        if (sending.get(aggregate) === sent) sending.delete(aggregate)
      })
    sending.set(aggregate, sent)
  }

  async #untilSent(partition: HostedPartition, aggregate: string, owed: Owed): Promise<boolean> {
    for (let delayMs = firstDelayMs; partition.live; delayMs = Math.min(maxDelayMs, 2 * delayMs)) {
      try {
        await this.#once(partition, aggregate, owed)
        return partition.live
      } catch (err) {
        if (!partition.live) return false
        this.#port.notices.warn({ err, id: owed.id, aggregate }, 'what is owed could not be sent')
        await this.#port.delay(delayMs)
      }
    }
    return false
  }

  async #once(partition: HostedPartition, aggregate: string, owed: Owed): Promise<void> {
    const { workflows, schedules, triggers } = partition.log.state
    const state = workflows.get(aggregate) ?? schedules.get(aggregate) ?? triggers.get(aggregate)
    if (!state) return
    const { tenant, correlationId } = state
    const receipt = async (event: WorkflowContextEvent): Promise<void> => {
      await partition.record(aggregate, [event], { tenant, actor: 'system', correlationId })
    }
    if (owed.what === 'command') {
      const { type, data } = owed.command
      const to = aggregateKey(owed.to.type, tenant, owed.to.id)
      await partition.log.send({ id: owed.id, type, data, aggregate: to, tenant, actor: 'system', correlationId })
      if (owed.receipt) await receipt({ type: owed.receipt.type, data: { runId: owed.receipt.runId } })
      return
    }
    const workflow = state as WorkflowState
    const { run } = owed
    if (owed.what === 'cancel') {
      await this.#port.executions.send(cancelCommand(workflow, run, owed.id))
      return
    }
    const refuse = (code: ErrorCode, detail: string): Promise<void> =>
      receipt({
        type: 'WorkflowRunEnded',
        data: { runId: run.runId, end: { status: 'refused', code, detail: detail.slice(0, 8192) } },
      })
    let command: CommandDraft
    try {
      command = await startCommand(workflow, run, owed.id, this.#port.payloads)
    } catch (error) {
      if (error instanceof OmiumError && error.retryable) throw error
      // whatever a definition trips over, it trips over again; the other runs of the workflow must not wait for it
      return refuse(...(error instanceof OmiumError ? ([error.code, error.message] as const) : unforeseen(error)))
    }
    try {
      await this.#port.executions.send(command)
    } catch (error) {
      if (!(error instanceof OmiumError) || error.retryable) throw error
      return refuse(error.code, error.message)
    }
    this.#port.measures.started()
    await receipt({ type: 'WorkflowRunStarted', data: { runId: run.runId } })
  }
}
