import { OmiumError } from '@omium/schemas'
import type {
  AppendReceipt,
  GroupMember,
  GroupRequest,
  LogTransport,
  PartitionBatch,
  ReadBatch,
  ReadRequest,
  TransportProducer,
  TransportReader,
} from '../transport.ts'
import { SimulatedGroup } from './group.ts'
import type { SimulatedLog } from './log.ts'
import type { Process } from './world.ts'

/** The groups of one simulated installation, shared by the transports of its processes. */
export class SimulatedGroups {
  readonly #groups = new Map<string, SimulatedGroup>()
  readonly #log: SimulatedLog
  readonly #onCommit: (topic: string, partition: number, nextOffset: number) => void

  constructor(log: SimulatedLog, onCommit: (topic: string, partition: number, nextOffset: number) => void = () => {}) {
    this.#log = log
    this.#onCommit = onCommit
  }

  get(groupId: string): SimulatedGroup {
    const group = this.#groups.get(groupId) ?? new SimulatedGroup(this.#log, this.#onCommit)
    this.#groups.set(groupId, group)
    return group
  }
}

export class SimulatedProducer implements TransportProducer {
  readonly #log: SimulatedLog
  readonly #process: Process
  #state: 'ready' | 'busy' | 'unusable' = 'ready'

  constructor(log: SimulatedLog, process: Process) {
    this.#log = log
    this.#process = process
  }

  /** What the client under the adapter does when it is used again after an error: it acknowledges and writes nothing. */
  appendUnguarded(batches: readonly PartitionBatch[]): Promise<readonly AppendReceipt[]> {
    if (this.#state === 'ready') return this.append(batches)
    const receipts = batches.map(({ topic, partition }) => ({
      topic,
      partition,
      baseOffset: this.#log.records(topic, partition).length,
    }))
    return new Promise((resolve) => {
      this.#log.world.after(this.#log.delay(), () => resolve(receipts), this.#process)
    })
  }

  append(batches: readonly PartitionBatch[]): Promise<readonly AppendReceipt[]> {
    if (this.#state !== 'ready') {
      return Promise.reject(new OmiumError('log_unreachable', `the producer is ${this.#state}`))
    }
    this.#state = 'busy'
    return new Promise((resolve, reject) => {
      this.#log.request(batches, this.#process, (outcome) => {
        if (outcome instanceof Error) {
          this.#state = 'unusable'
          reject(outcome)
        } else {
          if (this.#state === 'busy') this.#state = 'ready'
          resolve(outcome)
        }
      })
    })
  }

  async close(): Promise<void> {
    this.#state = 'unusable'
  }
}

class SimulatedReader implements TransportReader {
  readonly #log: SimulatedLog
  readonly #process: Process
  readonly #positions: { topic: string; partition: number; offset: number }[]
  #turn = 0
  #closed = false
  #failed: Error | undefined
  #pending: ((batch: ReadBatch | null) => void) | undefined

  constructor(log: SimulatedLog, process: Process, requests: readonly ReadRequest[]) {
    this.#log = log
    this.#process = process
    this.#positions = requests.map(({ topic, partition, fromOffset }) => ({ topic, partition, offset: fromOffset }))
  }

  next(): Promise<ReadBatch | null> {
    if (this.#closed) return Promise.resolve(null)
    if (this.#failed) return Promise.reject(this.#failed)
    const { world, faults } = this.#log
    return new Promise((resolve, reject) => {
      this.#pending = resolve
      const attempt = () => {
        if (this.#closed) return
        if (world.random.chance(faults.readFails)) {
          this.#failed = new OmiumError('log_unreachable', 'the fetch failed')
          this.#pending = undefined
          reject(this.#failed)
          return
        }
        const batch = this.#fetch()
        if (batch === undefined) {
          const retry = () => world.after(this.#log.delay(), attempt, this.#process)
          const waits = this.#positions.every(({ topic, partition }) => this.#log.isAvailable(topic, partition))
          if (waits) this.#log.onceWritten(retry)
          else world.after(10, attempt, this.#process)
          return
        }
        this.#pending = undefined
        resolve(batch)
      }
      world.after(this.#log.delay() * 2, attempt, this.#process)
    })
  }

  #fetch(): ReadBatch | undefined {
    for (let i = 0; i < this.#positions.length; i++) {
      const position = this.#positions[(this.#turn + i) % this.#positions.length]
      if (position === undefined || !this.#log.isAvailable(position.topic, position.partition)) continue
      const max = this.#log.world.random.between(1, 50)
      const batch = this.#log.read(position.topic, position.partition, position.offset, max)
      if (batch.records.length === 0) continue
      position.offset = batch.nextOffset
      this.#turn = (this.#turn + i + 1) % this.#positions.length
      return batch
    }
    return undefined
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#pending?.(null)
  }
}

/** The log as one process sees it. */
export const simulatedTransport = (log: SimulatedLog, groups: SimulatedGroups, process: Process): LogTransport => {
  const { world } = log
  const answer = <T>(compute: () => T, failure: number): Promise<T> =>
    new Promise((resolve, reject) => {
      world.after(
        log.delay() * 2,
        () => {
          if (world.random.chance(failure)) reject(new OmiumError('log_unreachable', 'the broker did not answer'))
          else {
            try {
              resolve(compute())
            } catch (error) {
              reject(error)
            }
          }
        },
        process,
      )
    })
  return {
    openProducer: () => answer((): TransportProducer => new SimulatedProducer(log, process), log.faults.openFails),
    openReader: (requests) =>
      answer((): TransportReader => {
        for (const { topic, partition, fromOffset } of requests) {
          const end = log.records(topic, partition).length
          if (fromOffset >= 0 && fromOffset < log.first(topic, partition)) {
            throw new OmiumError('log_truncated', `offset ${fromOffset} of ${topic}/${partition} was deleted`)
          }
          if (fromOffset > end || fromOffset < 0) {
            throw new OmiumError(
              'invalid_request',
              `offset ${fromOffset} of ${topic}/${partition} is out of range 0..${end}`,
            )
          }
        }
        return new SimulatedReader(log, process, requests)
      }, log.faults.openFails),
    joinGroup: (request: GroupRequest) =>
      answer((): GroupMember => groups.get(request.groupId).join(request, process), log.faults.openFails),
    startOffsets: (topic) =>
      answer(() => new Map(log.partitionsOf(topic).map(({ first }, p) => [p, first])), log.faults.readFails),
    endOffsets: (topic) =>
      answer(() => new Map(log.partitionsOf(topic).map(({ records }, p) => [p, records.length])), log.faults.readFails),
    offsetsSince: (topic, sinceMs) =>
      answer(
        () =>
          new Map(
            log.partitionsOf(topic).map(({ records }, p) => {
              const at = records.findIndex(({ timestamp }) => timestamp >= sinceMs)
              return [p, at < 0 ? records.length : at]
            }),
          ),
        log.faults.readFails,
      ),
    partitionCount: (topic) => answer(() => log.partitionsOf(topic).length, 0),
    ensureTopics: (topics) => answer(() => log.ensureTopics(topics), 0),
    close: async () => undefined,
  }
}
