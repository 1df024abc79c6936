import type { AcceptedEvent, LogContext } from '@omium/log'
import { Installation, Process } from '@omium/log/testing'
import { OmiumError } from '@omium/schemas'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { clockOf, Till } from '../test/till.ts'
import { type EventReader, Follower, type Following, openPast, type Work } from './follower.ts'
import { Followers } from './followers.ts'
import { silent } from './testing.ts'

const [a, b] = ['execution:t/a', 'execution:t/b']
const topic = 'sim.accounts.events'

interface Seen extends Work {
  readonly amount: number
  readonly id: string
}

/** What readers do, and what becomes of it: outlives every follower. */
class Book {
  readonly performed: Seen[] = []
  readonly began: unknown[] = []
  readonly reread: string[] = []
  perform = async (seen: Seen): Promise<void> => void this.performed.push(seen)
  /** events of these amounts cannot be taken in */
  poison = new Set<number>()
  /** offset from where has to be read again */
  keepFrom: number | undefined
  sweep: ((isCurrent: () => Promise<boolean>) => Promise<Seen[]>) | undefined

  following(context: LogContext, sweepMs?: number): Following<{ total: number }, Seen> {
    return {
      context,
      name: 'spec',
      version: 1,
      ...(sweepMs !== undefined && { sweepMs }),
      begin: (memory) => {
        this.began.push(memory)
        let total = memory?.total ?? 0
        const reader: EventReader<{ total: number }, Seen> = {
          wants: ({ type }) => type === 'Deposited',
          observe: ({ envelope, data }) => {
            const { amount } = data as { amount: number }
            if (this.poison.has(amount)) throw new TypeError('it cannot be taken in')
            total += amount
            this.reread.push(`${envelope.aggregate} ${amount}`)
            return [{ aggregate: envelope.aggregate, amount, id: envelope.id }]
          },
          perform: (seen) => this.perform(seen),
          memory: () => ({ total }),
          ...(this.sweep && { sweep: this.sweep }),
          rereadFrom: () => this.keepFrom,
        }
        return reader
      },
    }
  }

  amountsOf(aggregate: string): number[] {
    return this.performed.filter((seen) => seen.aggregate === aggregate).map(({ amount }) => amount)
  }
}

let installation: Installation
let book: Book
let sent = 0
beforeEach(async () => {
  installation = new Installation()
  book = new Book()
  await installation.start()
  await Till.open(installation, 'owner')
})
afterEach(() => installation.stop())

const follow = (process = new Process('follower'), sweepMs?: number) => {
  const following = book.following(installation.context(process), sweepMs)
  const store = installation.snapshots.storeFor(process)
  return new Follower(0, following as Following, { store, clock: clockOf(installation, process), notices: silent })
}
const deposit = (amount: number, aggregate = a) => installation.send('Deposit', { amount }, `cmd_${++sent}`, aggregate)
const performed = (count: number) => installation.eventually(`${count} performed`, () => book.performed.length >= count)
const places = () => installation.snapshots.storeFor(new Process('x')).list(`${topic}~spec`, 0)

describe('a follower', () => {
  it('has done what events ask for, in the order of their aggregate, and the next one goes on from there', async () => {
    const first = follow()
    for (const amount of [1, 2, 3]) await deposit(amount)
    await performed(3)
    expect(first.notReady()).toBeNull()
    await first.close(true)
    await deposit(4)
    const second = follow()
    await performed(4)
    expect(book.amountsOf(a)).toEqual([1, 2, 3, 4])
    expect(book.began).toEqual([null, { total: 6 }])
    await second.close(false)
  })

  it('does everything again, under the same ids, after one that died without a trace', async () => {
    const dying = new Process('dying')
    follow(dying)
    await deposit(1)
    await performed(1)
    installation.world.crash(dying)
    const second = follow()
    await performed(2)
    expect(book.performed[1]?.id).toBe(book.performed[0]?.id)
    await second.close(true)
  })

  it('takes a damaged place, or one of a log that is shorter, for none', async () => {
    const first = follow()
    await deposit(1)
    await performed(1)
    await first.close(true)
    const store = installation.snapshots.storeFor(new Process('vandal'))
    const [place] = await places()
    await store.save(`${topic}~spec`, 0, place?.nextOffset ?? 0, Buffer.from('nonsense'))
    await store.save(`${topic}~spec`, 0, 1_000_000, await store.load(place?.key ?? ''))
    const second = follow()
    await performed(2)
    expect(book.began).toEqual([null, null])
    await second.close(false)
  })

  it('waits with an aggregate whose work fails, goes on with the others, and stores nothing meanwhile', async () => {
    let failing = true
    book.perform = async (seen) => {
      if (failing && seen.aggregate === a) throw new OmiumError('unavailable', 'away')
      book.performed.push(seen)
    }
    const events = [deposit(1), deposit(2), deposit(3, b)]
    await Promise.all(events)
    await installation.events(7)
    const first = follow()
    await performed(1)
    expect(book.amountsOf(b)).toEqual([3])
    await first.close(true)
    expect(await places()).toEqual([])
    failing = false
    const second = follow()
    await performed(4)
    expect(book.amountsOf(a)).toEqual([1, 2])
    await second.close(false)
  })

  it('passes over an aggregate with an event that cannot be taken in, also after a restart, and no other', async () => {
    book.poison.add(13)
    const first = follow()
    await deposit(1)
    await deposit(13)
    await deposit(2)
    await deposit(5, b)
    await performed(2)
    await first.close(true)
    const second = follow()
    await deposit(3)
    await deposit(6, b)
    await performed(3)
    expect(book.amountsOf(a)).toEqual([1])
    expect(book.amountsOf(b)).toEqual([5, 6])
    await second.close(false)
  })

  it('leaves out what cannot be decoded', async () => {
    const first = follow()
    await deposit(1)
    await performed(1)
    installation.log.write(topic, 0, [{ key: 'x', headers: {}, value: Buffer.from('garbage') }])
    await deposit(2)
    await performed(2)
    expect(first.notReady()).toBeNull()
    await first.close(false)
  })

  it('reads again what its memory does not hold, and does none of it twice', async () => {
    book.keepFrom = 0
    const first = follow()
    await deposit(1)
    await deposit(2)
    await performed(2)
    await first.close(true)
    const second = follow()
    await deposit(3)
    await performed(3)
    expect(book.amountsOf(a)).toEqual([1, 2, 3])
    expect(book.reread).toEqual([`${a} 1`, `${a} 2`, `${a} 1`, `${a} 2`, `${a} 3`])
    await second.close(false)
  })

  it('looks around only when nothing waits to be read', async () => {
    const current: boolean[] = []
    book.sweep = async (isCurrent) => {
      current.push(await isCurrent())
      return current.length === 2 ? [{ aggregate: b, amount: 0, id: 'swept' }] : []
    }
    const first = follow(new Process('sweeping'), 1_000)
    await installation.eventually('a sweep', () => current.length > 2)
    expect(book.performed).toEqual([{ aggregate: b, amount: 0, id: 'swept' }])
    await first.close(true)
    const before = current.length
    const later = installation.world.nowMs + 10_000
    await installation.eventually('ten seconds', () => installation.world.nowMs > later)
    expect(current.length).toBe(before)
  })
})

describe('the past', () => {
  it('is read from a landmark on, with what was known there', async () => {
    const following = { ...book.following(installation.context(new Process('past'))), landmarkEvery: 5 }
    const store = installation.snapshots.storeFor(new Process('past'))
    const options = { store, clock: clockOf(installation), notices: silent }
    const follower = new Follower(0, following as Following, options)
    for (let amount = 1; amount <= 30; amount++) {
      await deposit(amount)
      await performed(amount)
    }
    await follower.close(true)
    const read = async (offset: number) => {
      const { memory, tail } = await openPast(
        following,
        options,
        { partition: 0, offset },
        ({ type }) => type === 'Deposited',
      )
      let event: AcceptedEvent | undefined
      // a batch may hold nothing but what is not wanted
      while (!event) event = (await tail.next())?.events[0]
      await tail.close()
      return { total: memory?.total, first: event.data as { amount: number }, at: event.offset }
    }
    const end = (await places())[0]?.nextOffset ?? 0
    const { total, first, at } = await read(end - 10)
    expect(at).toBeGreaterThan(end - 30)
    expect(at).toBeLessThanOrEqual(end - 10)
    expect(total).toBe(((first.amount - 1) * first.amount) / 2)
    expect(await read(0)).toMatchObject({ total: undefined, first: { amount: 1 } })
  })
})

describe('followers', () => {
  it('of all owners together follow each partition once, whatever the numbers', async () => {
    const context = installation.context(new Process('p'))
    const counts = new Map([
      ['sim.own.events', 3],
      ['sim.accounts.events', 7],
    ])
    const counted: LogContext = {
      ...context,
      transport: { ...context.transport, partitionCount: async (name) => counts.get(name) ?? 0 },
    }
    const own = { ...counted, definition: { ...context.definition, name: 'own' } }
    const opened: number[] = []
    const following = book.following(counted)
    const begin: Following['begin'] = (memory, log) => {
      opened.push(log.partition)
      return following.begin(memory as null, log) as EventReader
    }
    const store = installation.snapshots.storeFor(new Process('p'))
    const followers = await Followers.open(own, [{ ...following, begin }], {
      store,
      clock: clockOf(installation),
      notices: silent,
    })
    for (const partition of [0, 1, 2]) followers.owned(partition)
    await installation.eventually('all of them', () => opened.length >= 7)
    expect(opened.toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6])
    await followers.leave()
    expect(followers.notReady()).toBeNull()
  })
})
