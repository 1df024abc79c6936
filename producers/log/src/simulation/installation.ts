import { createIdSource } from '@omium/schemas'
import { openCommandSender } from '../command-sender.ts'
import { openOwnerWith } from '../context-owner.ts'
import type {
  Command,
  ContextHandler,
  ContextOwner,
  LogContext,
  OwnedPartition,
  StateMachine,
  TailBatch,
} from '../contract.ts'
import { createJsonCodec } from '../json-codec.ts'
import { ownerParts } from '../parts.ts'
import { provisionContext } from '../provision.ts'
import { openTail } from '../tail.ts'
import { type Accounts, accountsContext, accountsMachine, decide } from './accounts.ts'
import { SimulatedLog } from './log.ts'
import { noCompression, SimulatedSnapshots } from './snapshots.ts'
import { SimulatedGroups, simulatedTransport } from './transport.ts'
import { Process, World } from './world.ts'

export interface OpenOwnerOptions {
  readonly process?: Process
  readonly snapshotEvery?: number
  readonly machine?: StateMachine<Accounts>
  /** decides the accounts' commands unless it is given */
  readonly handler?: ContextHandler<Accounts>
}

/** One simulated installation of the accounts, and a world that runs as fast as it can: for specs that await in real time. */
export class Installation {
  readonly world = new World(7)
  readonly log = new SimulatedLog(this.world)
  readonly groups = new SimulatedGroups(this.log)
  readonly snapshots = new SimulatedSnapshots(this.world, 0)
  readonly notices: string[] = []
  readonly owned: OwnedPartition<Accounts>[] = []
  readonly lost: number[] = []
  onLost = () => {}
  #stopped = false
  #running: Promise<void> | undefined
  #effects = 0
  readonly #partitions: number

  constructor(partitions = 1) {
    this.#partitions = partitions
  }

  context(process: Process): LogContext {
    const { world } = this
    return {
      transport: simulatedTransport(this.log, this.groups, process),
      codec: createJsonCodec(accountsContext),
      definition: accountsContext,
      topicPrefix: 'sim',
      nowMs: () => world.nowMs,
      ids: createIdSource(
        () => world.nowMs,
        (size) => world.random.bytes(size),
      ),
      timers: {
        after: (delayMs, run) => world.after(delayMs, run, process),
        turn: () => new Promise((resolve) => world.after(0, resolve, process)),
      },
    }
  }

  async start(): Promise<void> {
    this.#running = this.world.runFreely(() => this.#stopped)
    await provisionContext(this.context(new Process('setup')), {
      partitions: this.#partitions,
      replication: 1,
      fsync: true,
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.world.wake()
    await this.#running
  }

  readonly command = async (partition: OwnedPartition<Accounts>, command: Command): Promise<unknown> => {
    const decision = decide(partition, command, () => `effect-${this.#effects++}`)
    if (decision === 'insufficient') return partition.reject(command, 'invalid_request', 'insufficient')
    return partition.append(decision)
  }

  openOwner(name: string, options: OpenOwnerOptions = {}): Promise<ContextOwner> {
    const { process = new Process(name), snapshotEvery = 1_000, machine = accountsMachine, handler } = options
    return openOwnerWith(
      this.context(process),
      {
        machine,
        handler: handler ?? {
          owned: (partition) => this.owned.push(partition),
          command: this.command,
          lost: (partition) => {
            this.lost.push(partition)
            this.onLost()
          },
        },
        snapshots: this.snapshots.storeFor(process),
        snapshotEvery,
        owner: name,
        sessionTimeoutMs: 1_000,
        onNotice: ({ message }) => this.notices.push(message),
      },
      { ...ownerParts, compression: noCompression },
    )
  }

  async send(type: string, data: unknown, id: string, aggregate = 'execution:t/a') {
    const sender = await openCommandSender(this.context(new Process(`client-${id}`)))
    const tenant = { tenant: 't', actor: 'user:u', correlationId: id }
    const sent = await sender.send({ id, type, data, aggregate, ...tenant })
    await sender.close()
    return sent
  }

  /** Reads the whole events log until `enough` says so. */
  async read(enough: (seen: TailBatch['events'], all: TailBatch[]) => boolean): Promise<TailBatch[]> {
    const tail = await openTail(this.context(new Process('reader')), [{ partition: 0, fromOffset: 0 }])
    const batches: TailBatch[] = []
    while (
      !enough(
        batches.flatMap((b) => b.events),
        batches,
      )
    ) {
      const batch = await tail.next()
      if (batch === null) throw new Error('the tail ended')
      batches.push(batch)
    }
    await tail.close()
    return batches
  }

  async events(count: number) {
    const batches = await this.read((seen) => seen.length >= count)
    return batches.flatMap((b) => b.events)
  }

  letters = () => this.log.records('sim.dead-letters', 0)

  async eventually(what: string, condition: () => boolean): Promise<void> {
    const until = performance.now() + 15_000
    while (!condition()) {
      if (performance.now() > until) throw new Error(`not in time: ${what}; notices: ${this.notices.join('; ')}`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
}
