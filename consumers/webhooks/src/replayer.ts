import { bySystem, type Clock, type HostedPartition, type Notices, retry, sleep } from '@omium/kit'
import { hashJson, type WebhookEndpointCommand, type WebhookReplayRange } from '@omium/schemas'
import { isWanted, messageOf } from './domain/public-events.ts'
import type { PartitionState } from './machine.ts'
import { messageIdOf } from './message-id.ts'
import type { History } from './ports.ts'

/**
 * Carries replays of one owned partition out: reads the past and asks the endpoint to deliver it again, under the same message
 * ids. Whoever takes the partition over begins anew; what was asked for already is known by its command's id.
 */
export interface ReplayerOptions {
  readonly history: History
  readonly clock: Clock
  readonly notices: Notices
}

/** what waits at an endpoint before a replay waits, too */
const mostWaiting = 500
const lookEveryMs = 200

export class Replayer {
  readonly #partition: HostedPartition<PartitionState>
  readonly #options: ReplayerOptions
  readonly #running = new Set<string>()
  readonly #ended = new AbortController()

  constructor(partition: HostedPartition<PartitionState>, options: ReplayerOptions) {
    this.#partition = partition
    this.#options = options
  }

  /** For every endpoint when the partition is owned, and whenever one has settled. */
  settle(aggregate: string): void {
    for (const [replayId, range] of this.#partition.state.endpoints.get(aggregate)?.replays ?? []) {
      const name = `${aggregate} ${replayId}`
      if (this.#running.has(name)) continue
      this.#running.add(name)
      const { clock, notices } = this.#options
      const { signal } = this.#ended
      retry(() => this.#run(aggregate, replayId, range), {
        clock,
        signal,
        onFailure: (err) => notices.warn({ err, aggregate, replayId }, 'a replay failed; it is tried again'),
      })
        .catch(() => undefined)
        .finally(() => this.#running.delete(name))
    }
  }

  close(): void {
    this.#ended.abort(new Error('the partition is lost'))
  }

  async #run(aggregate: string, replayId: string, { from, to, types }: WebhookReplayRange): Promise<void> {
    const { log } = this.#partition
    const { signal } = this.#ended
    const wanted = () => {
      const endpoint = this.#partition.state.endpoints.get(aggregate)
      return endpoint?.replays.has(replayId) ? endpoint : undefined
    }
    const endpoint = wanted()
    if (!endpoint) return
    let found = 0
    const { tenant, id, correlationId } = endpoint
    await this.#options.history.read(tenant, from, to, async (event) => {
      const current = wanted()
      if (!current || !isWanted({ ...current.spec, types: types ?? current.spec.types }, event)) return
      const message = messageOf(messageIdOf(id, event.eventId, event.type), event)
      const command: WebhookEndpointCommand = { type: 'DeliverWebhook', data: { message, origin: 'replay' } }
      const commandId = `cmd_replay_${hashJson([tenant, replayId, message.id]).slice(0, 32)}`
      while ((wanted()?.pending.size ?? 0) >= mostWaiting) {
        signal.throwIfAborted()
        await sleep(this.#options.clock, lookEveryMs, signal)
      }
      signal.throwIfAborted()
      await log.send({ id: commandId, ...command, aggregate, tenant, actor: 'system', correlationId })
      found++
    })
    const current = wanted()
    if (!current) return
    await this.#partition.record(
      aggregate,
      [{ type: 'WebhookReplayFinished', data: { replayId, found } }],
      bySystem(current),
    )
  }
}
