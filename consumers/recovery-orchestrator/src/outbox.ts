import type { OwnedPartition } from '@omium/log'
import { owedBy } from './domain/outbox.ts'
import type { PartitionState } from './machine.ts'
import type { Commands, EffectHistory, Notices } from './ports.ts'

/**
 * Sends what incidents owe to the execution context, again and again until the log has it, the incident does not owe it any
 * more, or the partition belongs to somebody else, who then sends it under the same id.
 */
export interface OutboxPort {
  readonly executions: Commands
  readonly effects: EffectHistory
  readonly notices: Notices
  delay(ms: number): Promise<void>
}

const firstDelayMs = 100
const maxDelayMs = 5_000

export class Outbox {
  readonly #port: OutboxPort
  /** ids of commands that are being sent, by partition: one is enough */
  readonly #sending = new Set<string>()

  constructor(port: OutboxPort) {
    this.#port = port
  }

  async send(partition: OwnedPartition<PartitionState>, aggregate: string): Promise<void> {
    const first = this.#owed(partition, aggregate)
    if (!first) return
    const key = `${partition.partition} ${partition.epoch} ${first.id}`
    if (this.#sending.has(key)) return
    this.#sending.add(key)
    try {
      for (let delayMs = firstDelayMs; ; delayMs = Math.min(maxDelayMs, 2 * delayMs)) {
        const state = partition.live ? partition.state.incidents.get(aggregate) : undefined
        const owed = state && owedBy(state)
        if (!state || owed?.id !== first.id) return
        const { tenant, correlationId } = state
        try {
          const { type, data } =
            'effects' in owed ? owed.command(await this.#port.effects.read(owed.effects)) : owed.command
          const draft = { id: owed.id, type, data, aggregate: owed.aggregate, tenant, actor: 'system', correlationId }
          await this.#port.executions.send(draft)
          return
        } catch (error) {
          this.#port.notices.warn({ err: error, command: owed.id, aggregate }, 'a command could not be sent')
          await this.#port.delay(delayMs)
        }
      }
    } finally {
      this.#sending.delete(key)
    }
  }

  #owed(partition: OwnedPartition<PartitionState>, aggregate: string) {
    const state = partition.live ? partition.state.incidents.get(aggregate) : undefined
    return state ? owedBy(state) : null
  }
}
