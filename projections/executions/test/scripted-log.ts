import type { AcceptedEvent, LogContext, OpenTail, Tail, TailBatch } from '@omium/log'
import type { ProjectionLog } from '@omium/projection-kit'
import { aggregateKey, type ExecutionContextEvent, executionContext, partitionEvents } from '@omium/schemas'

/**
 * A log whose accepted events the spec writes itself: what the projection sees of the real one, without brokers. Acceptance
 * is the log core's business and is proven there.
 */
export class ScriptedLog {
  readonly #partitions: AcceptedEvent[][]
  readonly #readers = new Set<() => void>()
  readonly #versions = new Map<string, number>()
  /** how many tails were opened from which offsets */
  readonly opened: { partition: number; fromOffset: number; checkpoint: number | null }[] = []
  readonly batchSize: number

  constructor(partitions: number, batchSize = 500) {
    this.#partitions = Array.from({ length: partitions }, () => [])
    this.batchSize = batchSize
  }

  get log(): ProjectionLog {
    const transport = { partitionCount: async () => this.#partitions.length }
    const context = {
      transport,
      definition: executionContext,
      topicPrefix: 'scripted',
    } as unknown as LogContext
    return { context, openTail: this.#openTail }
  }

  endOffset(partition: number): number {
    return this.#partitions[partition]?.length ?? 0
  }

  /** Appends an event of an aggregate and returns it as a reader sees it. */
  append(
    event: ExecutionContextEvent,
    { partition = 0, tenant = 'ten_a', aggregate, time = 1_700_000_000_000, commandId }: AppendOptions = {},
  ): AcceptedEvent {
    const log = this.#partitions[partition] as AcceptedEvent[]
    const key =
      aggregate ?? aggregateKey('execution', tenant, (event.data as { executionId?: string }).executionId ?? 'run')
    const version = event.type in partitionEvents ? 0 : (this.#versions.get(key) ?? 0) + 1
    if (version > 0) this.#versions.set(key, version)
    const accepted: AcceptedEvent = {
      envelope: {
        id: `evt_${partition}_${log.length}`,
        type: event.type,
        schemaVersion: 1,
        tenant,
        aggregate: key,
        correlationId: 'c',
        actor: 'worker:w',
        time,
        version,
        epoch: 1,
        ...(commandId && { commandId }),
      },
      type: event.type,
      data: event.data,
      partition,
      offset: log.length,
    }
    log.push(accepted)
    for (const wake of this.#readers) wake()
    return accepted
  }

  readonly #openTail: OpenTail = async (_context, requests) => {
    const positions = new Map(requests.map(({ partition, fromOffset }) => [partition, fromOffset]))
    for (const { partition, fromOffset, checkpoint } of requests) {
      this.opened.push({ partition, fromOffset, checkpoint: checkpoint?.nextOffset ?? null })
    }
    let closed = false
    let wake: (() => void) | undefined
    const awake = () => wake?.()
    this.#readers.add(awake)
    const ready = (): TailBatch | undefined => {
      for (const [partition, from] of positions) {
        const log = this.#partitions[partition] as AcceptedEvent[]
        if (from >= log.length) continue
        const events = log.slice(from, from + this.batchSize)
        const nextOffset = from + events.length
        // the partition that was just read goes to the end of the line
        positions.delete(partition)
        positions.set(partition, nextOffset)
        return { partition, events, rejected: [], deadLetters: [], nextOffset, endOffset: log.length }
      }
      return undefined
    }
    const tail: Tail = {
      next: async () => {
        for (;;) {
          if (closed) return null
          const batch = ready()
          if (batch) return batch
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      },
      checkpoint: (partition) => ({ nextOffset: positions.get(partition) ?? 0, body: Buffer.from('fold') }),
      close: async () => {
        closed = true
        this.#readers.delete(awake)
        wake?.()
      },
    }
    return tail
  }
}

export interface AppendOptions {
  readonly partition?: number
  readonly tenant?: string
  readonly aggregate?: string
  readonly time?: number
  readonly commandId?: string
}
