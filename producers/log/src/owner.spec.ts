import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ContextOwner } from './contract.ts'
import { partitionFor } from './partitioning.ts'
import { maxAppendBytes } from './record-size.ts'
import { accountsMachine } from './simulation/accounts.ts'
import { Installation } from './simulation/installation.ts'
import { Process } from './simulation/world.ts'

const eventsTopic = 'sim.accounts.events'
const commandsTopic = 'sim.accounts.commands'

const account = { aggregate: 'execution:t/a', tenant: 't', actor: 'system', correlationId: 'c' }
let installation: Installation
beforeEach(async () => {
  installation = new Installation()
  await installation.start()
})
afterEach(() => installation.stop())

describe('an owner', () => {
  test('claims its partition, decides a command, and every reader sees both', async () => {
    const owner = await installation.openOwner('one')
    await installation.send('Deposit', { amount: 5 }, 'cmd_1')
    const events = await installation.events(3)
    expect(events.map((e) => [e.type, e.envelope.version, e.envelope.epoch])).toEqual([
      ['PartitionClaimed', 0, 1],
      ['Deposited', 1, 1],
      ['Noted', 2, 1],
    ])
    expect(events[1]?.envelope.commandId).toBe('cmd_1')
    expect(owner.partitions).toEqual([0])
    await owner.close()
    expect(installation.lost).toEqual([0])
  })

  test('answers a command that was decided before with its recorded outcome', async () => {
    await installation.openOwner('one')
    await installation.send('Withdraw', { amount: 5 }, 'cmd_1')
    await installation.events(2)
    await installation.send('Deposit', { amount: 50 }, 'cmd_2')
    await installation.send('Withdraw', { amount: 5 }, 'cmd_1')
    const events = await installation.events(5)
    expect(events.map((e) => e.type)).toEqual([
      'PartitionClaimed',
      'CommandRejected',
      'Deposited',
      'Noted',
      'CommandDeduplicated',
    ])
    expect(events[4]?.data).toEqual({
      commandType: 'Withdraw',
      outcome: { code: 'invalid_request', detail: 'insufficient' },
    })
  })

  test('a successor starts from the snapshot, claims the next epoch and knows the state and what was decided', async () => {
    const first = await installation.openOwner('one')
    await installation.send('Deposit', { amount: 5 }, 'cmd_1')
    await installation.events(3)
    await first.close()
    expect(installation.snapshots.size).toBe(1)
    await installation.openOwner('two')
    await installation.send('Deposit', { amount: 5 }, 'cmd_1')
    const events = await installation.events(5)
    expect(events.slice(3).map((e) => [e.type, e.envelope.epoch])).toEqual([
      ['PartitionClaimed', 2],
      ['CommandDeduplicated', 2],
    ])
    expect(installation.owned[1]?.state.balances.get('execution:t/a')).toBe(5)
    expect(installation.owned[0]?.live).toBe(false)
    await expect(installation.owned[0]?.append([])).rejects.toMatchObject({ code: 'log_fenced' })
  })

  test('a damaged snapshot is reported and the log is read instead', async () => {
    const first = await installation.openOwner('one')
    await installation.send('Deposit', { amount: 5 }, 'cmd_1')
    await installation.events(3)
    await first.close()
    const store = installation.snapshots.storeFor(new Process('vandal'))
    const [snapshot] = await store.list(eventsTopic, 0)
    const body = Buffer.from(await store.load(snapshot?.key ?? ''))
    body[body.length - 3] = (body[body.length - 3] as number) ^ 1
    await store.save(eventsTopic, 0, snapshot?.nextOffset ?? 0, body)
    await installation.openOwner('two')
    await installation.eventually('the takeover', () => installation.owned.length === 2)
    expect(installation.owned[1]?.state.balances.get('execution:t/a')).toBe(5)
    expect(installation.notices.join()).toContain('a snapshot is not usable')
  })

  test('a command whose handler throws is rejected and becomes a dead letter; the partition goes on', async () => {
    await installation.openOwner('one')
    await installation.send('Explode', {}, 'cmd_1')
    await installation.send('Deposit', { amount: 1 }, 'cmd_2')
    const events = await installation.events(4)
    const rejected = events.find((e) => e.type === 'CommandRejected')
    expect(rejected?.data).toMatchObject({ code: 'internal', commandType: 'Explode' })
    expect(events.some((e) => e.type === 'Deposited')).toBe(true)
    expect(installation.letters()[0]?.headers).toMatchObject({
      'dead-letter-code': 'internal',
      'dead-letter-topic': commandsTopic,
    })
  })

  test('garbage on the commands topic becomes dead letters; what follows is handled and committed', async () => {
    installation.log.write(commandsTopic, 0, [{ key: 'x', headers: {}, value: Buffer.from('garbage') }])
    const envelope = { id: 'cmd_bad', type: 'Deposit', schemaVersion: 1, tenant: 't', aggregate: 'execution:t/a' }
    const headers = { envelope: JSON.stringify({ ...envelope, correlationId: 'c', actor: 'user:u', time: 0 }) }
    installation.log.write(commandsTopic, 0, [{ key: 'x', headers, value: Buffer.from('{"amount":"much"}') }])
    const owner = await installation.openOwner('one')
    await installation.send('Deposit', { amount: 1 }, 'cmd_2')
    const events = await installation.events(4)
    expect(events.map((e) => e.type).sort()).toEqual(['CommandRejected', 'Deposited', 'Noted', 'PartitionClaimed'])
    expect(installation.letters()).toHaveLength(2)
    const group = installation.groups.get('sim.accounts.owners')
    await installation.eventually('the commit', () => group.committed(commandsTopic, 0) === 3)
    await owner.close()
  })

  test('commands that retention deleted, with the offsets forgotten too, do not stop the partition', async () => {
    for (const i of [1, 2, 3]) await installation.send('Deposit', { amount: i }, `cmd_${i}`)
    installation.log.truncate(commandsTopic, 0, 2)
    await installation.openOwner('one')
    const events = await installation.events(3)
    expect(events[1]?.envelope.commandId).toBe('cmd_3')
  })

  test('a committed offset that was deleted is reported, and delivery goes on at the first command there is', async () => {
    for (const i of [1, 2, 3, 4]) await installation.send('Deposit', { amount: i }, `cmd_${i}`)
    installation.groups.get('sim.accounts.owners').commit(commandsTopic, 0, 1)
    installation.log.truncate(commandsTopic, 0, 3)
    const owner = await installation.openOwner('one')
    const events = await installation.events(3)
    expect(events[1]?.envelope.commandId).toBe('cmd_4')
    expect(installation.notices.join()).toContain('deleted before they were read')
    expect(owner.counters['truncations']).toBe(1)
  })

  test('garbage on the events topic is reported, at most by two owners, and refused by every reader', async () => {
    installation.log.write(eventsTopic, 0, [{ key: 'x', headers: {}, value: Buffer.from('garbage') }])
    const first = await installation.openOwner('one')
    await installation.send('Deposit', { amount: 1 }, 'cmd_1')
    await installation.events(3)
    await first.close()
    for (const { key } of await installation.snapshots.storeFor(new Process('x')).list(eventsTopic, 0)) {
      await installation.snapshots.storeFor(new Process('x')).remove(key)
    }
    const second = await installation.openOwner('two')
    const batches = await installation.read((seen) => seen.length >= 4)
    expect(batches.flatMap((b) => b.rejected).map((r) => [r.offset, r.reason])).toEqual([[0, 'malformed']])
    expect(batches.flatMap((b) => b.deadLetters)).toHaveLength(1)
    await installation.eventually('a second owner', () => installation.owned.length === 2)
    await second.close()
    await installation.openOwner('three')
    await installation.eventually('a third owner', () => installation.owned.length === 3)
    expect(installation.letters()).toHaveLength(2)
  })

  test('garbage as large as the log allows is reported shortened and does not stop the partition', async () => {
    installation.log.maxBatchBytes = 10_000
    const garbage = { key: 'k'.repeat(1_000), headers: { x: 'h'.repeat(4_000) }, value: Buffer.alloc(4_850) }
    for (const topic of [eventsTopic, commandsTopic]) installation.log.write(topic, 0, [garbage])
    await installation.openOwner('one')
    await installation.send('Deposit', { amount: 1 }, 'cmd_1')
    await installation.events(3)
    await installation.eventually('both letters', () => installation.letters().length === 2)
    for (const { headers } of installation.letters()) {
      expect(headers).toMatchObject({ 'dead-letter-offset': '0', 'dead-letter-shortened': 'true' })
    }
    const group = installation.groups.get('sim.accounts.owners')
    await installation.eventually('the commit', () => group.committed(commandsTopic, 0) === 2)
  })

  test('an append larger than the log takes is refused without effect; the partition goes on', async () => {
    await installation.openOwner('one')
    await installation.eventually('ownership', () => installation.owned.length === 1)
    const [partition] = installation.owned
    const large = { ...account, type: 'Noted', data: { effect: 'x'.repeat(maxAppendBytes) } }
    await expect(partition?.append([large])).rejects.toMatchObject({ code: 'payload_too_large' })
    const command = { ...account, id: 'cmd_1', type: 'Transfer', data: { amount: 1, to: large.data.effect } }
    await expect(partition?.send(command)).rejects.toMatchObject({ code: 'payload_too_large' })
    await partition?.append([{ ...account, type: 'Noted', data: { effect: 'e' } }])
    const events = await installation.events(2)
    expect(events.map((e) => [e.type, e.envelope.version])).toEqual([
      ['PartitionClaimed', 0],
      ['Noted', 1],
    ])
  })

  test('an event that cannot be decoded parks its aggregate for every reader; the others go on', async () => {
    const first = await installation.openOwner('one')
    await installation.send('Deposit', { amount: 1 }, 'cmd_1')
    await installation.events(3)
    const envelope = {
      ...(await installation.events(3))[2]?.envelope,
      version: 3,
      id: 'evt_bad',
      type: 'Deposited',
      commandId: 'cmd_x',
    }
    // as a defective release of the owner would have written it
    installation.log.write(eventsTopic, 0, [
      { key: 'x', headers: { envelope: JSON.stringify(envelope) }, value: Buffer.from('{}') },
    ])
    await first.close()
    for (const { key } of await installation.snapshots.storeFor(new Process('x')).list(eventsTopic, 0)) {
      await installation.snapshots.storeFor(new Process('x')).remove(key)
    }
    await installation.openOwner('two')
    await installation.send('Deposit', { amount: 1 }, 'cmd_2')
    await installation.send('Deposit', { amount: 7 }, 'cmd_3', 'execution:t/b')
    const batches = await installation.read((seen) => seen.some((e) => e.envelope.aggregate === 'execution:t/b'))
    const events = batches.flatMap((b) => b.events)
    expect(events.filter((e) => e.type === 'AggregateParked')).toHaveLength(1)
    expect(events.find((e) => e.type === 'CommandRejected')?.data).toMatchObject({ code: 'execution_parked' })
    await installation.eventually('the dead letter', () => installation.letters().length === 1)
    expect(installation.owned[1]?.state.balances.get('execution:t/b')).toBe(7)
  })

  test('a draft that the state machine cannot apply parks its aggregate, and the state is built anew without it', async () => {
    await installation.openOwner('one')
    await installation.eventually('ownership', () => installation.owned.length === 1)
    const [partition] = installation.owned
    const before = { ...account, type: 'Deposited', data: { amount: 5, effect: 'e' } }
    const broken = { ...account, type: 'Deposited', data: null, aggregate: 'execution:t/b' }
    await expect(partition?.append([before, broken])).rejects.toMatchObject({ code: 'record_unfoldable' })
    await expect(partition?.append([before])).rejects.toMatchObject({ code: 'log_fenced' })
    await installation.eventually('a new beginning', () => installation.owned.length === 2)
    const again = installation.owned[1]
    expect(again?.state.balances.size).toBe(0)
    await expect(again?.append([{ ...broken, data: { amount: 1, effect: 'e' } }])).rejects.toMatchObject({
      code: 'execution_parked',
    })
    await again?.append([before])
    const events = await installation.events(4)
    expect(events.map((e) => e.type)).toEqual(['PartitionClaimed', 'AggregateParked', 'PartitionClaimed', 'Deposited'])
  })

  test('repaired code goes on with what older code has parked; the older code, back again, parks it anew', async () => {
    const repaired = accountsMachine
    const defective: typeof accountsMachine = {
      ...accountsMachine,
      version: 0,
      apply: (state, event) => {
        if (event.type === 'Gilded') throw new TypeError('unknown event')
        accountsMachine.apply(state, event)
      },
    }
    let owner: ContextOwner | undefined
    const handOver = async (machine: typeof accountsMachine) => {
      await owner?.close()
      owner = await installation.openOwner('next', { machine })
      await installation.eventually('ownership', () => installation.owned.at(-1)?.live === true)
      return installation.owned.at(-1)
    }
    const gilded = { ...account, type: 'Gilded', data: { effect: 'e' } }
    const deposited = { ...account, type: 'Deposited', data: { amount: 5, effect: 'e' } }
    await (await handOver(repaired))?.append([deposited, gilded])
    for (const machine of [defective, defective]) {
      const parked = await handOver(machine)
      await expect(parked?.append([deposited])).rejects.toMatchObject({ code: 'execution_parked' })
    }
    await (await handOver(repaired))?.append([deposited])
    const relapsed = await handOver(defective)
    await expect(relapsed?.append([deposited])).rejects.toMatchObject({ code: 'execution_parked' })
    const last = await handOver(repaired)
    expect(last?.state.balances.get(account.aggregate)).toBe(10)
    const batches = await installation.read((seen) => seen.filter((e) => e.type === 'AggregateUnparked').length === 2)
    const parkings = batches.flatMap((b) => b.events).filter((e) => e.type === 'AggregateParked')
    expect(parkings).toHaveLength(2)
  })

  test('drafts that make no sense are refused without effect', async () => {
    await installation.openOwner('one')
    await installation.eventually('ownership', () => installation.owned.length === 1)
    const [partition] = installation.owned
    const draft = { aggregate: 'a', tenant: 't', actor: 'system', correlationId: 'c', type: 'Noted', data: {} }
    await expect(partition?.append([])).rejects.toMatchObject({ code: 'internal' })
    await expect(partition?.append([{ ...draft, type: 'Unheard' }])).rejects.toMatchObject({ code: 'internal' })
    await expect(partition?.append([draft, { ...draft, tenant: '' }])).rejects.toMatchObject({ code: 'internal' })
    expect(partition?.versionOf('a')).toBe(0)
  })

  test('two owners share the partition: the one that claimed last owns, the other is told', async () => {
    await installation.openOwner('one')
    await installation.eventually('ownership', () => installation.owned.length === 1)
    const second = await installation.openOwner('two')
    const group = installation.groups.get('sim.accounts.owners')
    group.rebalance(true)
    await installation.eventually('the takeover', () => second.partitions.length === 1)
    expect(installation.lost).toContain(0)
    const [former, current] = installation.owned
    expect(current?.epoch).toBe((former?.epoch ?? 0) + 1)
    await expect(
      current?.send({ id: 'cmd_9', type: 'Deposit', data: { amount: 3 }, ...account }),
    ).resolves.toBeUndefined()
    await installation.eventually('the deposit', () => current?.state.balances.get(account.aggregate) === 3)
  })

  test('a handler that throws when it is told of a loss does not harm the rest', async () => {
    installation.onLost = () => {
      throw new Error('the handler is broken')
    }
    await installation.openOwner('one')
    await installation.eventually('ownership', () => installation.owned.length === 1)
    const second = await installation.openOwner('two')
    installation.groups.get('sim.accounts.owners').rebalance(true)
    await installation.eventually('the takeover', () => second.partitions.length === 1)
    expect(installation.notices.join()).toContain('a handler failed')
  })

  test('a commit that failed is made again, even when no further command comes', async () => {
    await installation.openOwner('one')
    await installation.events(1)
    installation.log.faults = { ...installation.log.faults, commitFails: 1 }
    await installation.send('Deposit', { amount: 1 }, 'cmd_1')
    await installation.eventually('a failure', () => installation.notices.includes('an offset was not committed'))
    installation.log.faults = { ...installation.log.faults, commitFails: 0 }
    const group = installation.groups.get('sim.accounts.owners')
    await installation.eventually('the commit', () => group.committed(commandsTopic, 0) === 1)
  })

  test('a command that cannot even be answered becomes a dead letter; the commits go on', async () => {
    await installation.openOwner('one')
    const type = 'x'.repeat(maxAppendBytes)
    const envelope = { id: 'cmd_1', type, schemaVersion: 1, time: 0, ...account, actor: 'user:u' }
    installation.log.write(commandsTopic, 0, [
      { key: 'x', headers: { envelope: JSON.stringify(envelope) }, value: Buffer.from('{}') },
    ])
    await installation.send('Deposit', { amount: 1 }, 'cmd_2')
    const group = installation.groups.get('sim.accounts.owners')
    await installation.eventually('the commit', () => group.committed(commandsTopic, 0) === 2)
    expect(installation.letters().length).toBeGreaterThan(0)
  })

  test('doubt is resolved without losing or repeating anything', async () => {
    const owner = await installation.openOwner('one')
    await installation.events(1)
    installation.log.faults = { ...installation.log.faults, lostReply: 0.2, lostRequest: 0.15, ghost: 0.1 }
    await Promise.all(Array.from({ length: 40 }, (_, i) => installation.send('Deposit', { amount: 1 }, `cmd_${i}`)))
    const partition = installation.owned[0]
    await installation.eventually('all deposits', () => partition?.state.balances.get('execution:t/a') === 40)
    installation.log.faults = { ...installation.log.faults, lostReply: 0, lostRequest: 0, ghost: 0 }
    const batches = await installation.read(
      (seen) => seen.filter((e) => e.type === 'Deposited').length === 40 && seen.at(-1)?.type !== 'Deposited',
    )
    const deposits = batches.flatMap((b) => b.events).filter((e) => e.type === 'Deposited')
    expect(new Set(deposits.map((e) => e.envelope.commandId)).size).toBe(40)
    expect(owner.counters['doubts']).toBeGreaterThan(0)
    expect(owner.counters['violations']).toBeUndefined()
    expect(partitionFor('execution:t/a', 1)).toBe(0)
  })
})
