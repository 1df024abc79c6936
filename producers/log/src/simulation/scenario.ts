/**
 * One simulated run from one seed: owners, clients and readers on a bad network, with crashes, stalls, rebalances and
 * lost leaders; then calm, in which everything must come to its end; then the checker's verdict.
 */
import { commandsTopic, createIdSource, deadLettersTopic, eventsTopic } from '@omium/schemas'
import { openCommandSender } from '../command-sender.ts'
import { openOwnerWith } from '../context-owner.ts'
import type { Command, ContextOwner, LogContext, OwnedPartition, RecordCodec, StateMachine } from '../contract.ts'
import { createJsonCodec } from '../json-codec.ts'
import { partitionFor } from '../partitioning.ts'
import { type OwnerParts, ownerParts } from '../parts.ts'
import { provisionContext } from '../provision.ts'
import { openTail } from '../tail.ts'
import { pause } from '../timers.ts'
import type { LogTransport } from '../transport.ts'
import type { LogWriter } from '../writer.ts'
import { type Accounts, accountsContext, accountsMachine, decide, depositOf } from './accounts.ts'
import { Checker, textOf } from './checker.ts'
import { type Faults, noFaults, SimulatedLog } from './log.ts'
import { memoized } from './memoized-codec.ts'
import { noCompression, SimulatedSnapshots } from './snapshots.ts'
import { SimulatedGroups, simulatedTransport } from './transport.ts'
import { Process, World } from './world.ts'

/** What is put into the owners instead of the real thing, to see whether the checker notices. */
export interface Defect {
  readonly parts?: (parts: OwnerParts) => OwnerParts
  readonly transport?: (transport: LogTransport) => LogTransport
}

export interface RunResult {
  readonly problems: readonly string[]
  readonly virtualMs: number
  readonly events: number
  readonly counters: Readonly<Record<string, number>>
}

const prefix = 'sim'
const events = eventsTopic(prefix, accountsContext.name)
const commands = commandsTopic(prefix, accountsContext.name)
const sessionTimeoutMs = 400
const turmoilMs = 3_000
const calmMs = 60_000
const commandCount = 35

interface Running {
  readonly process: Process
  readonly machine: StateMachine<Accounts>
  owner: ContextOwner | undefined
  readonly owned: Map<number, OwnedPartition<Accounts>>
}

class Scenario {
  readonly #world: World
  readonly #log: SimulatedLog
  readonly #groups: SimulatedGroups
  readonly #snapshots: SimulatedSnapshots
  readonly #codec: RecordCodec
  readonly #checker: Checker
  readonly #defect: Defect
  readonly #stopAtProblem: boolean
  readonly #partitions: number
  readonly #accounts: readonly string[]
  /** for each partition, an aggregate that lives there */
  readonly #notebooks: readonly string[]
  readonly #running: Running[] = []
  readonly #sent = new Set<string>()
  readonly #counters: Record<string, number> = {}
  #owners = 0
  #effects = 0
  #clientsDone = 0
  #calm = false

  constructor(seed: number, defect: Defect | undefined) {
    this.#stopAtProblem = defect !== undefined
    this.#world = new World(seed)
    this.#defect = defect ?? {}
    const { random } = this.#world
    this.#partitions = random.between(1, 3)
    this.#accounts = Array.from({ length: 6 }, (_, i) => `execution:t/account-${i}`)
    const candidates = Array.from({ length: 100 }, (_, i) => `execution:t/notebook-${i}`)
    this.#notebooks = Array.from(
      { length: this.#partitions },
      (_, p) => candidates.find((key) => partitionFor(key, this.#partitions) === p) as string,
    )
    this.#log = new SimulatedLog(this.#world)
    this.#groups = new SimulatedGroups(this.#log, (_, partition, next) => this.#checker.committed(partition, next))
    this.#snapshots = new SimulatedSnapshots(this.#world, 0.1)
    this.#codec = memoized(createJsonCodec(accountsContext))
    this.#checker = new Checker(
      this.#codec,
      this.#partitions,
      (p) => this.#log.records(events, p),
      (p) => this.#log.records(commands, p),
      () => this.#log.records(deadLettersTopic(prefix), 0),
    )
  }

  async run(): Promise<RunResult> {
    const world = this.#world
    const setup = provisionContext(this.#context(new Process('setup')), {
      partitions: this.#partitions,
      replication: 1,
      fsync: true,
    })
    let ready = false
    void setup.then(() => {
      ready = true
    })
    await world.runUntil(() => ready, 10_000)
    this.#log.faults = this.#drawFaults()
    for (let i = world.random.between(2, 3); i > 0; i--) this.#startOwner()
    for (const name of ['client-a', 'client-b']) void this.#client(name)
    void this.#reader('reader', this.#context(new Process('reader')))
    this.#turmoil()
    // a defect need only be noticed; what it would do to the rest of the run is of no interest
    const noticed = () => this.#stopAtProblem && this.#checker.problems.length > 0
    await world.runUntil(noticed, turmoilMs)
    this.#calm = true
    this.#log.faults = noFaults
    let settled = false
    const look = () => {
      settled = this.#isSettled()
      world.after(50, look)
    }
    look()
    if (!(await world.runUntil(() => settled || noticed(), calmMs)))
      this.#checker.problem('nothing came to its end in time')
    // whatever still hurries through the network arrives now, and must change nothing
    await world.runUntil(noticed, world.nowMs + 1_000)
    await world.runUntil(() => noticed() || this.#isSettled(), world.nowMs + calmMs)
    this.#finish()
    return {
      problems: this.#checker.problems,
      virtualMs: world.nowMs,
      events: Array.from({ length: this.#partitions }, (_, p) => this.#log.records(events, p).length).reduce(
        (a, b) => a + b,
      ),
      counters: this.#counters,
    }
  }

  #drawFaults(): Faults {
    const { random } = this.#world
    const rate = (max: number) => (random.chance(0.3) ? 0 : random.next() * max)
    return {
      minDelayMs: 1,
      maxDelayMs: random.between(2, 15),
      lostRequest: rate(0.08),
      lostReply: rate(0.15),
      ghost: rate(0.12),
      openFails: rate(0.1),
      readFails: rate(0.05),
      commitFails: rate(0.3),
      redelivery: rate(0.1),
      lateAssignment: rate(0.8),
    }
  }

  #context(process: Process): LogContext {
    const world = this.#world
    return {
      transport: simulatedTransport(this.#log, this.#groups, process),
      codec: this.#codec,
      definition: accountsContext,
      topicPrefix: prefix,
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

  #startOwner(): void {
    const name = `owner-${++this.#owners}`
    const process = new Process(name)
    const machine = this.#owners % 2 === 0 ? accountsMachine : olderMachine
    const running: Running = { process, machine, owner: undefined, owned: new Map() }
    this.#running.push(running)
    const plain = this.#context(process)
    const context = { ...plain, transport: this.#defect.transport?.(plain.transport) ?? plain.transport }
    void this.#openOwner(running, context)
  }

  async #openOwner(running: Running, context: LogContext): Promise<void> {
    const { process } = running
    const parts = this.#parts()
    for (;;) {
      try {
        running.owner = await openOwnerWith(
          context,
          {
            machine: running.machine,
            handler: {
              owned: (partition) => this.#owned(running, context, partition),
              command: (partition, command) => this.#command(partition, command),
              lost: (partition) => {
                running.owned.delete(partition)
              },
            },
            snapshots: this.#snapshots.storeFor(process),
            snapshotEvery: 15,
            owner: process.name,
            sessionTimeoutMs,
            onNotice: ({ level, message, fields }) => {
              if (level === 'error' && message.startsWith('a record of ours')) {
                this.#checker.problem(`${process.name}: ${message} ${JSON.stringify(fields)}`)
              }
            },
          },
          parts,
        )
        return
      } catch {
        await pause(context.timers as NonNullable<LogContext['timers']>, 50)
      }
    }
  }

  /** The parts with the defect, and ears on every acknowledgement. */
  #parts(): OwnerParts {
    const sound: OwnerParts = { ...ownerParts, compression: noCompression }
    const parts = this.#defect.parts?.(sound) ?? sound
    return {
      ...parts,
      createWriter: (options) => {
        const writer = parts.createWriter(options)
        const append = writer.append.bind(writer)
        writer.append = ((target, records, onAccepted) => {
          const appended = append(target, records, onAccepted)
          appended.then(
            ({ firstOffset, lastOffset }) => {
              for (const [i, { envelope }] of records.entries()) {
                const offset = i === 0 ? firstOffset : i === records.length - 1 ? lastOffset : undefined
                this.#checker.acknowledged.push({ partition: target.partition, offset, envelope })
              }
            },
            () => undefined,
          )
          return appended
        }) satisfies LogWriter['append']
        return writer
      },
    }
  }

  #owned(running: Running, context: LogContext, partition: OwnedPartition<Accounts>): void {
    running.owned.set(partition.partition, partition)
    const folded = (partition as unknown as { fold: { nextOffset: number } }).fold.nextOffset
    this.#checker.owned(partition.partition, partition.epoch, folded, partition.state)
    for (const owed of partition.state.owed.values()) {
      this.#sent.add(owed.commandId)
      void partition.send(depositOf(owed)).catch(() => undefined)
    }
    // work that no command asks for, not waited for
    const note = () => {
      if (!partition.live || this.#calm) return
      const aggregate = this.#notebooks[partition.partition] as string
      const common = { tenant: 't', actor: 'system', correlationId: 'note', aggregate }
      const newer = running.machine === accountsMachine
      const type = newer && this.#world.random.chance(0.02) ? 'Gilded' : 'Noted'
      void partition.append([{ ...common, type, data: { effect: this.#effect() } }]).catch(() => undefined)
      context.timers?.after(this.#world.random.between(10, 200), note)
    }
    context.timers?.after(20, note)
  }

  readonly #effect = (): string => `effect-${++this.#effects}`

  async #command(partition: OwnedPartition<Accounts>, command: Command): Promise<unknown> {
    const decision = decide(partition, command, this.#effect)
    if (decision === 'insufficient') return partition.reject(command, 'invalid_request', 'insufficient')
    const appended = await partition.append(decision)
    const owed = partition.state.owed.get(`${command.envelope.id}.deposit`)
    if (owed !== undefined) {
      this.#sent.add(owed.commandId)
      void partition.send(depositOf(owed)).catch(() => undefined)
    }
    return appended
  }

  async #client(name: string): Promise<void> {
    const context = this.#context(new Process(name))
    const timers = context.timers as NonNullable<LogContext['timers']>
    const { random } = this.#world
    const sender = await retried(() => openCommandSender(context), timers)
    const recent: (() => Promise<unknown>)[] = []
    const sends: Promise<unknown>[] = []
    for (let i = 0; i < commandCount; i++) {
      await pause(timers, random.between(1, (2 * turmoilMs) / commandCount))
      const again = random.chance(0.2) && recent.length > 0
      if (again) {
        sends.push(random.pick(recent)())
        continue
      }
      const draft = this.#draft(`${name}-${i}`)
      this.#sent.add(draft.id)
      const send = () => retried(() => sender.send(draft), timers)
      recent.push(send)
      sends.push(send())
    }
    await Promise.all(sends)
    this.#clientsDone++
  }

  #draft(id: string) {
    const { random } = this.#world
    const aggregate = random.pick(this.#accounts)
    const common = { id, aggregate, tenant: 't', actor: 'user:u', correlationId: id }
    const amount = random.between(1, 10)
    const dice = random.next()
    if (dice < 0.5) return { ...common, type: 'Deposit', data: { amount: amount * 3 } }
    if (dice < 0.7) return { ...common, type: 'Withdraw', data: { amount } }
    if (dice < 0.9) return { ...common, type: 'Transfer', data: { amount, to: random.pick(this.#accounts) } }
    if (dice < 0.94) return { ...common, type: 'CloseAccount', data: {} }
    return { ...common, type: dice < 0.99 ? 'Explode' : 'Poison', data: {} }
  }

  /** Reads everything; now and then a second reader starts in the middle, from the first one's checkpoint. */
  async #reader(name: string, context: LogContext): Promise<void> {
    const from = Array.from({ length: this.#partitions }, () => 0)
    const seen = from.map((): string[] => [])
    this.#checker.readers.push({ name, from, seen })
    const tail = await openTail(
      context,
      from.map((fromOffset, partition) => ({ partition, fromOffset })),
    )
    let helpers = 0
    for (;;) {
      const batch = await tail.next()
      if (batch === null) return
      for (const { offset, envelope } of batch.events) seen[batch.partition]?.push(`${offset}:${envelope.id}`)
      if (helpers >= 2 || !this.#world.random.chance(0.03)) continue
      helpers++
      void this.#helper(
        `${name}-${helpers}`,
        context,
        from.map((_, p) => tail.checkpoint(p)),
      )
    }
  }

  async #helper(
    name: string,
    context: LogContext,
    checkpoints: readonly { nextOffset: number; body: Buffer }[],
  ): Promise<void> {
    const from = checkpoints.map(({ nextOffset }) => nextOffset + this.#world.random.between(0, 5))
    const seen = from.map((): string[] => [])
    this.#checker.readers.push({ name, from, seen })
    const tail = await openTail(
      context,
      checkpoints.map((checkpoint, partition) => ({ partition, checkpoint, fromOffset: from[partition] as number })),
    )
    for (;;) {
      const batch = await tail.next()
      if (batch === null) return
      for (const { offset, envelope } of batch.events) seen[batch.partition]?.push(`${offset}:${envelope.id}`)
    }
  }

  #turmoil(): void {
    const world = this.#world
    const { random } = world
    const intensity = random.between(1, 4)
    const strike = () => {
      if (this.#calm) return
      const running = random.pick(this.#running)
      const dice = random.next()
      if (dice < 0.25) this.#crash(running)
      else if (dice < 0.45) world.stall(running.process, random.between(50, sessionTimeoutMs * 4))
      else if (dice < 0.7) this.#groups.get(`${prefix}.${accountsContext.name}.owners`).rebalance(true)
      else if (dice < 0.85) {
        const topic = random.chance(0.7) ? events : commands
        this.#log.loseLeader(topic, random.between(0, this.#partitions - 1), random.between(20, 500))
      } else if (dice < 0.9) this.#scribble()
      else if (dice < 0.93) this.#retain()
      else this.#restart(running)
      world.after(random.between(50, 1_600 / intensity), strike)
    }
    world.after(random.between(50, 500), strike)
  }

  /** Garbage on a topic, as from a program that took the wrong one. */
  #scribble(): void {
    const topic = this.#world.random.chance(0.5) ? events : commands
    const record = { key: 'x', headers: { envelope: '{' }, value: Buffer.from('garbage') }
    this.#log.write(topic, this.#world.random.between(0, this.#partitions - 1), [record])
  }

  /** Retention deletes commands that are done; now and then the group's offsets expire, too. */
  #retain(): void {
    const group = this.#groups.get(`${prefix}.${accountsContext.name}.owners`)
    for (let p = 0; p < this.#partitions; p++) this.#log.truncate(commands, p, group.committed(commands, p) ?? 0)
    if (this.#world.random.chance(0.5)) group.forgetOffsets()
  }

  #crash(running: Running): void {
    this.#forget(running)
    this.#world.crash(running.process)
    this.#world.after(this.#world.random.between(1, 500), () => this.#startOwner())
  }

  /** A graceful end, as in a deployment; the process is gone some time later, whether it was done or not. */
  #restart(running: Running): void {
    this.#forget(running)
    void running.owner?.close().catch(() => undefined)
    this.#world.after(2_000, () => this.#world.crash(running.process))
    this.#world.after(this.#world.random.between(1, 300), () => this.#startOwner())
  }

  #forget(running: Running): void {
    this.#running.splice(this.#running.indexOf(running), 1)
    this.#collect(running)
    if (this.#running.length === 0) this.#startOwner()
  }

  #collect(running: Running): void {
    for (const [name, count] of Object.entries(running.owner?.counters ?? {})) {
      this.#counters[name] = (this.#counters[name] ?? 0) + count
    }
  }

  #isSettled(): boolean {
    if (this.#clientsDone < 2) return false
    const decided = this.#checker.references.map((_, p) => this.#checker.reference(p).decided)
    for (const id of this.#sent) if (!decided.some((d) => d.has(id))) return false
    return this.#checker.readers.every((reader) =>
      this.#checker.references.every((reference, p) => {
        const last = reference.accepted.at(-1)
        const from = reader.from[p] as number
        return (
          last === undefined || last.offset < from || reader.seen[p]?.at(-1) === `${last.offset}:${last.envelope.id}`
        )
      }),
    )
  }

  #finish(): void {
    for (const running of this.#running) {
      this.#collect(running)
      for (const [p, partition] of running.owned) {
        const reference = this.#checker.reference(p)
        if (!partition.live || partition.epoch !== reference.epoch) continue
        const expected = reference.stateAt(Number.POSITIVE_INFINITY)
        if (textOf(partition.state) !== expected) {
          this.#checker.problem(`in the end the owner of ${p} has ${textOf(partition.state)}, the log says ${expected}`)
        }
      }
    }
    this.#checker.finish(this.#sent)
  }
}

/** The release before, as in a deployment that takes its time: it cannot apply what the newer one alone writes. */
const olderMachine: StateMachine<Accounts> = {
  ...accountsMachine,
  version: 0,
  apply: (state, event) => {
    if (event.type === 'Gilded') throw new TypeError('unknown event Gilded')
    accountsMachine.apply(state, event)
  },
}

const retried = async <T>(attempt: () => Promise<T>, timers: NonNullable<LogContext['timers']>): Promise<T> => {
  for (;;) {
    try {
      return await attempt()
    } catch {
      await pause(timers, 50)
    }
  }
}

/** Runs one seed; the same seed gives the same result, always. */
export const simulate = (seed: number, defect?: Defect): Promise<RunResult> => new Scenario(seed, defect).run()
