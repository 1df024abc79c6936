import type { Command, ContextHandler, OwnedPartition } from '@omium/log'
import { type Accounts, decide, depositOf, type Installation, Process } from '@omium/log/testing'
import { authorOf, type Clock, HostedPartition, Outbox } from '../src/index.ts'
import { silent } from '../src/testing.ts'

export type OwedDeposit = Parameters<typeof depositOf>[0] & { readonly id: string }

/** Time as the processes of an installation see it; a crashed one waits for ever. */
export const clockOf = ({ world }: Installation, process?: Process): Clock => ({
  nowMs: () => world.nowMs,
  after: (delayMs, run) => world.after(delayMs, run, process),
})

let effects = 0

/** The accounts as a capability: hosted, and with an outbox for the other halves of transfers. */
export class Till implements ContextHandler<Accounts> {
  readonly process: Process
  readonly settled: string[] = []
  readonly faults: unknown[] = []
  readonly sent: OwedDeposit[] = []
  outbox: Outbox<Accounts, OwedDeposit> | undefined
  onSettled = (_aggregate: string): void => {}
  owes = (): boolean => true
  readonly send: (owed: OwedDeposit) => Promise<unknown>
  readonly #installation: Installation
  #hosted: HostedPartition<Accounts> | undefined

  private constructor(installation: Installation, name: string, send?: Till['send']) {
    this.#installation = installation
    this.process = new Process(name)
    this.send = send ?? ((owed) => this.deliver(owed))
  }

  /** A till that owns the only partition. */
  static async open(installation: Installation, name: string, send?: Till['send']): Promise<Till> {
    const till = new Till(installation, name, send)
    await installation.openOwner(name, { process: till.process, handler: till })
    await installation.eventually(`${name} owns`, () => till.#hosted !== undefined)
    return till
  }

  get hosted(): HostedPartition<Accounts> {
    if (!this.#hosted) throw new Error('it owns nothing')
    return this.#hosted
  }

  deliver(owed: OwedDeposit): Promise<unknown> {
    return this.hosted.log.send(depositOf(owed))
  }

  owned(log: OwnedPartition<Accounts>): void {
    const outbox = new Outbox<Accounts, OwedDeposit>(log, {
      clock: clockOf(this.#installation, this.process),
      notices: silent,
      owedBy: ({ owed }, aggregate) =>
        this.owes()
          ? [...owed.values()].filter(({ from }) => from === aggregate).map((one) => ({ ...one, id: one.commandId }))
          : [],
      send: (_aggregate, owed) => {
        this.sent.push(owed)
        return this.send(owed)
      },
    })
    this.outbox = outbox
    this.#hosted = new HostedPartition(log, {
      onFault: (error) => this.faults.push(error),
      onSettled: (aggregate) => {
        this.settled.push(aggregate)
        outbox.settle(aggregate)
        this.onSettled(aggregate)
      },
    })
    for (const { from } of log.state.owed.values()) outbox.settle(from)
  }

  command(log: OwnedPartition<Accounts>, command: Command): Promise<unknown> {
    const decision = decide(log, command, () => `effect-${effects++}`)
    if (decision === 'insufficient') return this.hosted.reject(command, 'invalid_request', 'insufficient')
    return this.hosted.record(command.envelope.aggregate, decision, authorOf(command))
  }

  lost(): void {}
}
