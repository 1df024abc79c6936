import { Installation } from '@omium/log/testing'
import { OmiumError } from '@omium/schemas'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Till } from '../test/till.ts'

let installation: Installation
beforeEach(async () => {
  installation = new Installation()
  await installation.start()
})
afterEach(() => installation.stop())

const [a, b, c] = ['execution:t/a', 'execution:t/b', 'execution:t/c']
const opened = (name: string, send?: Till['send']) => Till.open(installation, name, send)
const funded = async () => {
  await installation.send('Deposit', { amount: 10 }, 'cmd_fund', a)
  await installation.send('Deposit', { amount: 10 }, 'cmd_fund_c', c)
}
const transfer = (id: string, amount: number, from = a) => installation.send('Transfer', { to: b, amount }, id, from)

describe('an outbox', () => {
  it('sends what is owed once its event is accepted', async () => {
    const till = await opened('one')
    await funded()
    await transfer('cmd_t', 3)
    await installation.eventually('the money', () => till.hosted.state.balances.get(b) === 3)
    expect(till.sent.map(({ commandId }) => commandId)).toEqual(['cmd_t.deposit'])
  })

  it('forgets nothing when its owner dies between event and command, and what is sent twice has one effect', async () => {
    const first = await opened('one', () => new Promise(() => undefined))
    await funded()
    await transfer('cmd_t', 3)
    await installation.eventually('what is owed', () => first.sent.length === 1)
    installation.world.crash(first.process)

    const second = await opened('two')
    await installation.eventually('the money', () => second.hosted.state.balances.get(b) === 3)
    installation.world.crash(second.process)

    // the accounts never record that it was sent: every owner sends it again
    const third = await opened('three')
    await installation.eventually('what is owed', () => third.sent.length === 1)
    await transfer('cmd_more', 1)
    await installation.eventually('more money', () => third.hosted.state.balances.get(b) === 4)
  })

  it('tries again until it is sent, in order, and lets other aggregates go on', async () => {
    let failing = true
    const till: Till = await opened('one', async (owed) => {
      if (failing && owed.from === a) throw new OmiumError('log_unreachable', 'away')
      await till.deliver(owed)
    })
    await funded()
    await transfer('cmd_1', 1)
    await transfer('cmd_2', 2)
    await transfer('cmd_3', 5, c)
    await installation.eventually('the other money', () => till.hosted.state.balances.get(b) === 5)
    await installation.eventually('some tries', () => till.sent.length > 3)
    expect(new Set(till.sent.filter(({ from }) => from === a).map(({ commandId }) => commandId))).toEqual(
      new Set(['cmd_1.deposit']),
    )
    failing = false
    await installation.eventually('all the money', () => till.hosted.state.balances.get(b) === 8)
  })

  it('gives up when the partition belongs to somebody else, who sends it', async () => {
    let tries = 0
    const first = await opened('one', async () => {
      tries++
      throw new OmiumError('log_unreachable', 'away')
    })
    await funded()
    await transfer('cmd_t', 3)
    await installation.eventually('some tries', () => tries > 1)
    installation.world.stall(first.process, 20_000)
    const second = await opened('two')
    await installation.eventually('the money', () => second.hosted.state.balances.get(b) === 3)
    await installation.eventually('the end of the first', () => !first.hosted.live)
    const before = tries
    const later = installation.world.nowMs + 60_000
    await installation.eventually('a minute', () => installation.world.nowMs > later)
    expect(tries).toBe(before)
  })

  it('drops what is not owed any more', async () => {
    let owing = true
    const till = await opened('one', async () => {
      throw new OmiumError('log_unreachable', 'away')
    })
    till.owes = () => owing
    await funded()
    await transfer('cmd_t', 3)
    await installation.eventually('some tries', () => till.sent.length > 1)
    owing = false
    till.outbox?.settle(a)
    await installation.eventually('nothing to send', () => till.outbox?.size === 0)
    expect(till.hosted.state.balances.get(b)).toBeUndefined()
  })
})
