import type { AcceptedEvent, LogContext } from '@omium/log'
import { Installation, Process } from '@omium/log/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { clockOf } from '../test/till.ts'
import { ContextView } from './context-view.ts'
import { silent } from './testing.ts'

let installation: Installation
let learned: number[]
let view: ContextView
let sent = 0
let total: number

const viewOf = (change: (context: LogContext) => LogContext = (context) => context) => {
  const process = new Process('viewer')
  return new ContextView({
    context: change(installation.context(process)),
    clock: clockOf(installation, process),
    notices: silent,
    wants: ({ type }) => type === 'Deposited',
    learn: ({ data }: AcceptedEvent) => learned.push((data as { amount: number }).amount),
  })
}
const account = 'execution:t/a'
const deposit = async (amount: number) => {
  total += amount
  await installation.send('Deposit', { amount }, `cmd_${++sent}`)
  await installation.eventually(`${amount} accepted`, () =>
    installation.owned.some(({ state }) => (state.balances.get(account) ?? 0) >= total),
  )
}

beforeEach(async () => {
  installation = new Installation()
  learned = []
  total = 0
  await installation.start()
  await installation.openOwner('owner')
})
afterEach(async () => {
  await view.close()
  await installation.stop()
})

describe('a view of a context', () => {
  it('knows what was accepted before it was asked whether it is current', async () => {
    await deposit(1)
    view = viewOf()
    await view.open()
    await view.current()
    expect(learned).toEqual([1])
    await deposit(2)
    await Promise.all([view.current(), view.current(), view.current()])
    expect(learned).toEqual([1, 2])
  })

  it('asks the log once for many, but never shares an answer with who came after the question', async () => {
    let asked = 0
    view = viewOf((context) => ({
      ...context,
      transport: {
        ...context.transport,
        endOffsets: (topic) => {
          asked++
          return context.transport.endOffsets(topic)
        },
      },
    }))
    await view.open()
    const first = view.current()
    const later = Array.from({ length: 20 }, () => view.current())
    await Promise.all([first, ...later])
    expect(asked).toBe(2)
  })

  it('learns each event once, although reading fails in between', async () => {
    let failures = 3
    view = viewOf((context) => ({
      ...context,
      transport: {
        ...context.transport,
        openReader: (requests) =>
          failures-- > 0 ? Promise.reject(new Error('the brokers are away')) : context.transport.openReader(requests),
      },
    }))
    await deposit(1)
    await view.open()
    await view.current()
    await deposit(2)
    await view.current()
    expect(learned).toEqual([1, 2])
  })

  it('lets those go who wait when it is closed', async () => {
    view = viewOf((context) => ({
      ...context,
      transport: { ...context.transport, endOffsets: async () => new Map([[0, 1_000]]) },
    }))
    await view.open()
    const waiting = view.current()
    await view.close()
    await waiting
    expect(learned).toEqual([])
  })
})
