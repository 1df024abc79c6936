/**
 * The example that the simulation runs: accounts with money, small but with everything that an owner can do wrong. A
 * command has one effect, or the money is wrong; a transfer sends a further command, which a takeover must repeat without
 * moving money twice.
 */
import { type ContextDefinition, partitionEvents, v1 } from '@omium/schemas'
import { z } from 'zod'
import type { AcceptedEvent, Command, EventDraft, OwnedPartition, StateMachine } from '../contract.ts'

const amount = z.number().int().positive()

export const accountsContext = {
  name: 'accounts',
  commands: {
    Deposit: v1(z.object({ amount })),
    Withdraw: v1(z.object({ amount })),
    Transfer: v1(z.object({ to: z.string(), amount })),
    CloseAccount: v1(z.object({})),
    /** makes the handler throw */
    Explode: v1(z.object({})),
    /** makes the handler append what the state machine cannot apply */
    Poison: v1(z.object({})),
  },
  events: {
    ...partitionEvents,
    Deposited: v1(z.object({ amount, effect: z.string() })),
    Withdrawn: v1(z.object({ amount, effect: z.string() })),
    TransferStarted: v1(z.object({ amount, to: z.string(), commandId: z.string(), effect: z.string() })),
    AccountClosed: v1(z.object({ effect: z.string() })),
    Noted: v1(z.object({ effect: z.string() })),
    /** what only the newer release knows */
    Gilded: v1(z.object({ effect: z.string() })),
  },
} as const satisfies ContextDefinition

interface Owed {
  readonly to: string
  readonly amount: number
  readonly from: string
  readonly commandId: string
}

export interface Accounts {
  readonly balances: Map<string, number>
  /** transfers whose other half is to be sent; repeated by every owner */
  readonly owed: Map<string, Owed>
}

export const accountsMachine: StateMachine<Accounts> = {
  version: 1,
  empty: () => ({ balances: new Map(), owed: new Map() }),
  apply: (state, event: AcceptedEvent) => {
    const { aggregate } = event.envelope
    const balance = state.balances.get(aggregate) ?? 0
    const { amount: moved = 0, ...rest } = event.data as { amount?: number; to?: string; commandId?: string }
    switch (event.type) {
      case 'Deposited':
        state.balances.set(aggregate, balance + moved)
        return
      case 'Withdrawn':
        state.balances.set(aggregate, balance - moved)
        return
      case 'TransferStarted':
        state.balances.set(aggregate, balance - moved)
        state.owed.set(`${rest.commandId}.deposit`, {
          to: rest.to ?? '',
          amount: moved,
          from: aggregate,
          commandId: `${rest.commandId}.deposit`,
        })
        return
      case 'AccountClosed':
        state.balances.delete(aggregate)
        return
      case 'Noted':
      case 'Gilded':
        return
      default:
        throw new TypeError(`unknown event ${event.type}`)
    }
  },
  encode: ({ balances, owed }) => ({ balances: [...balances], owed: [...owed] }),
  decode: (encoded) => {
    const { balances, owed } = encoded as { balances: [string, number][]; owed: [string, Owed][] }
    return { balances: new Map(balances), owed: new Map(owed) }
  },
}

export const depositOf = ({ to, amount: moved, from, commandId }: Owed) => ({
  id: commandId,
  type: 'Deposit',
  data: { amount: moved },
  aggregate: to,
  tenant: 't',
  actor: 'system',
  correlationId: from,
})

/** The decision on a command: drafts to append, or why not. `effect` names every drafted event uniquely. */
export const decide = (
  partition: OwnedPartition<Accounts>,
  command: Command,
  effect: () => string,
): EventDraft[] | 'insufficient' => {
  const { aggregate, id: commandId, tenant, actor, correlationId } = command.envelope
  const common = { aggregate, tenant, actor, correlationId, commandId }
  const balance = partition.state.balances.get(aggregate) ?? 0
  const data = command.data as { amount: number; to: string }
  switch (command.type) {
    case 'Deposit':
      return [
        { ...common, type: 'Deposited', data: { amount: data.amount, effect: effect() } },
        { ...common, type: 'Noted', data: { effect: effect() } },
      ]
    case 'Withdraw':
      if (balance < data.amount) return 'insufficient'
      return [{ ...common, type: 'Withdrawn', data: { amount: data.amount, effect: effect() } }]
    case 'Transfer':
      if (balance < data.amount) return 'insufficient'
      return [
        { ...common, type: 'TransferStarted', data: { amount: data.amount, to: data.to, commandId, effect: effect() } },
      ]
    case 'CloseAccount':
      if (balance !== 0 || !partition.state.balances.has(aggregate)) return 'insufficient'
      return [{ ...common, type: 'AccountClosed', data: { effect: effect() }, closes: true }]
    case 'Poison':
      return [{ ...common, type: 'Deposited', data: null }]
    default:
      throw new Error(`${command.type} cannot be decided`)
  }
}
