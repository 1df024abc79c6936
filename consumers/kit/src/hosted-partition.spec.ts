import { Installation } from '@omium/log/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Till } from '../test/till.ts'
import { commandTo } from './testing.ts'

const a = 'execution:t/a'
const by = { tenant: 't', actor: 'user:u', correlationId: 'c' }
const deposit = (amount: number, effect = `${amount}`) => ({ type: 'Deposited', data: { amount, effect } })

let installation: Installation
beforeEach(async () => {
  installation = new Installation()
  await installation.start()
})
afterEach(() => installation.stop())

describe('a hosted partition', () => {
  it('settles an aggregate when everything that its state holds is accepted, not before', async () => {
    const till = await Till.open(installation, 'one')
    const { hosted } = till
    const first = hosted.record(a, [deposit(1)], by)
    const second = hosted.record(a, [deposit(2)], by)
    expect(till.settled).toEqual([])
    await first
    await second
    expect(till.settled).toEqual([a])
    expect(hosted.pending).toBe(0)
  })

  it('settles all the same when a later append is refused: that had no effect', async () => {
    const till = await Till.open(installation, 'one')
    const { hosted } = till
    const accepted = hosted.record(a, [deposit(1)], by)
    const refused = hosted.record(a, [{ type: 'Unheard', data: {} }], by)
    let called = false
    hosted.whenAccepted(() => {
      called = true
    })
    await expect(refused).rejects.toMatchObject({ code: 'internal' })
    await accepted
    await hosted.accepted()
    expect(till.settled).toEqual([a])
    expect(called).toBe(true)
    expect(hosted.pending).toBe(0)
  })

  it('holds nothing back for an answer that the log does not take', async () => {
    const till = await Till.open(installation, 'one')
    const { hosted } = till
    const accepted = hosted.record(a, [deposit(1)], by)
    const twice = commandTo(a, { type: 'Deposit', data: { amount: 1 } })
    await hosted.reject(twice, 'invalid_request', 'no')
    const refused = hosted.recordDeduplicated({ ...twice, envelope: { ...twice.envelope, tenant: '' } })
    await expect(refused).rejects.toMatchObject({ code: 'internal' })
    await accepted
    await hosted.accepted()
    expect(hosted.pending).toBe(0)
  })

  it('tells callers of an append that is fenced, and settles nothing', async () => {
    const till = await Till.open(installation, 'one')
    // time flies while it stands still: what it appends now reaches the log long after the next one's claim
    installation.world.stall(till.process, 20_000)
    const late = till.hosted.record(a, [deposit(1)], by)
    const next = await Till.open(installation, 'two')
    let called = false
    till.hosted.whenAccepted(() => {
      called = true
    })
    await expect(late).rejects.toMatchObject({ code: 'log_fenced' })
    await expect(till.hosted.accepted()).rejects.toMatchObject({ code: 'log_fenced' })
    expect({ called, settled: till.settled, live: till.hosted.live }).toEqual({
      called: false,
      settled: [],
      live: false,
    })
    expect(next.hosted.state.balances.get(a)).toBeUndefined()
    expect(till.hosted.pending).toBe(0)
  })

  it('survives what a callback throws', async () => {
    const till = await Till.open(installation, 'one')
    till.onSettled = () => {
      throw new Error('a defect')
    }
    await till.hosted.record(a, [deposit(1)], by)
    await installation.eventually('the fault', () => till.faults.length === 1)
    await till.hosted.record(a, [deposit(2)], by)
    await installation.eventually('the next fault', () => till.faults.length === 2)
  })
})
