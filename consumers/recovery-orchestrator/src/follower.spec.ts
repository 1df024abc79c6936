import type { AcceptedEvent, CommandDraft, LogContext, SnapshotStore, Tail, TailBatch, TailOptions } from '@omium/log'
import { type ExecutionEvent, executionContext, executionOptions, OmiumError } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { policyOf } from '../test/given.ts'
import { Follower } from './follower.ts'
import type { KnowledgeBook } from './knowledge.ts'

/** A partition of executions that specs write, and followers that come and go. */
class World {
  readonly log: AcceptedEvent[] = []
  readonly stored = new Map<string, Buffer>()
  readonly sent: CommandDraft[] = []
  readonly #waiting = new Set<() => void>()
  readonly #versions = new Map<string, number>()
  now = 1000
  failing = false
  policy = policyOf({ stalls: { afterMs: 1000 } })
  sweep: (() => void) | undefined

  write(
    run: string,
    ...events: (ExecutionEvent | { type: 'CommandRejected'; data: object; commandId: string })[]
  ): void {
    for (const event of events) {
      this.now += 10
      const { type, data } = event
      const aggregate = `execution:ten_a/${run}`
      const version = type === 'CommandRejected' ? 0 : (this.#versions.get(run) ?? 0) + 1
      if (version > 0) this.#versions.set(run, version)
      const envelope = {
        id: `evt_${this.log.length}`,
        type,
        schemaVersion: 1,
        tenant: 'ten_a',
        aggregate,
        correlationId: 'c',
        actor: 'system',
        time: this.now,
        version,
        epoch: 1,
        ...('commandId' in event && { commandId: event.commandId }),
      }
      this.log.push({ envelope, type, data, partition: 0, offset: this.log.length })
    }
    for (const wake of this.#waiting) wake()
  }

  openTail(from: number, { wants = () => true }: TailOptions): Tail {
    let next = from
    let closed = false
    return {
      next: async () => {
        while (!closed && next >= this.log.length) {
          await new Promise<void>((resolve) => {
            const wake = () => {
              this.#waiting.delete(wake)
              resolve()
            }
            this.#waiting.add(wake)
          })
        }
        if (closed) return null
        const events = this.log.slice(next).filter(({ envelope }) => wants(envelope))
        next = this.log.length
        const batch: TailBatch = {
          partition: 0,
          events,
          rejected: [],
          deadLetters: [],
          nextOffset: next,
          endOffset: next,
        }
        return batch
      },
      checkpoint: () => ({ nextOffset: next, body: Buffer.from(`fold at ${next}`) }),
      close: async () => {
        closed = true
        for (const wake of [...this.#waiting]) wake()
      },
    }
  }

  follow(): Follower {
    const snapshots: SnapshotStore = {
      list: async () =>
        [...this.stored.keys()]
          .map((key) => ({ key, nextOffset: Number(key) }))
          .sort((a, b) => b.nextOffset - a.nextOffset),
      load: async (key) => this.stored.get(key) as Buffer,
      save: async (_topic, _partition, nextOffset, body) => void this.stored.set(String(nextOffset), body),
      remove: async (key) => void this.stored.delete(key),
    }
    const log = {
      topicPrefix: 'spec',
      definition: executionContext,
      transport: { endOffsets: async () => new Map([[0, this.log.length]]) },
    } as unknown as LogContext
    const follower = new Follower(0, {
      log,
      openTail: async (_context, [request], options) => this.openTail(request?.fromOffset ?? 0, options ?? {}),
      commands: {
        send: async (draft) => {
          if (this.failing) throw new OmiumError('log_unreachable', 'away')
          this.sent.push(draft)
        },
      },
      knowledge: {
        policy: (_tenant: string, name: string) => ({ ref: { name, version: 1 }, policy: this.policy }),
      } as unknown as KnowledgeBook,
      snapshots,
      clock: {
        nowMs: () => this.now,
        after: (ms, run) => {
          if (ms === 7) this.sweep = run
          else setImmediate(run)
          return () => undefined
        },
      },
      notices: { info: () => {}, warn: () => {}, error: () => {} },
      snapshotEvery: 1_000_000,
      sweepMs: 7,
    })
    follower.start()
    return follower
  }

  get told(): string[] {
    return this.sent.map(({ type, aggregate }) => `${type} ${aggregate}`)
  }
}

const turns = async (count = 20) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
/** until so many reports were sent, and then a while for one too many */
const reported = async (world: World, count: number) => {
  const deadline = performance.now() + 10_000
  while (world.sent.length < count && performance.now() < deadline) await turns(1)
  await turns()
  expect(world.told).toHaveLength(count)
}
const requested = (recovery = true, executionId = 'r'): ExecutionEvent => ({
  type: 'ExecutionRequested',
  data: {
    executionId,
    agentId: 'a',
    input: { inline: null },
    requestHash: 'h',
    options: executionOptions.parse(recovery ? { recovery: { policy: 'p' } } : {}),
  },
})
const started: ExecutionEvent = { type: 'ExecutionStarted', data: { attempt: 1, workerId: 'w' } }
const error = { code: 'agent_threw' as const, detail: 'x', retryable: false }
const awaited: ExecutionEvent = { type: 'RecoveryAwaited', data: { incident: 1, attempt: 1, error, giveUpAt: 99_999 } }
const completed: ExecutionEvent = { type: 'ExecutionCompleted', data: { attempt: 1, output: { inline: 1 } } }

describe('a follower', () => {
  it('reports failures of the runs that ask for it, as they come', async () => {
    const world = new World()
    const follower = world.follow()
    await turns()
    world.write('r', requested(), started, awaited)
    world.write('plain', requested(false), started, awaited)
    await reported(world, 1)
    expect(world.told).toEqual(['ReportFailure incident:ten_a/r.1'])
    expect(follower.following).toBe(1)
    await follower.close(true)
  })

  it('reads what was before it in silence, but for failures that are not over and for every end', async () => {
    const world = new World()
    world.write('r', requested(), started, awaited)
    world.write('old', requested(true, 'old'), started, awaited, completed)
    const follower = world.follow()
    await reported(world, 2)
    expect(world.told).toEqual(['ReportFailure incident:ten_a/r.1', 'ReportRecovered incident:ten_a/old.1'])
    await follower.close(false)
  })

  it('goes on from where the last one had reported everything, with the same ids when it repeats', async () => {
    const world = new World()
    const first = world.follow()
    await turns()
    world.write('r', requested(), started, awaited)
    await reported(world, 1)
    await first.close(true)
    expect(world.stored.size).toBe(1)
    world.write('r', completed)
    const second = world.follow()
    await reported(world, 2)
    expect(world.told).toEqual(['ReportFailure incident:ten_a/r.1', 'ReportRecovered incident:ten_a/r.1'])
    await second.close(false)

    // this one left nothing behind: the next one reports the same again
    const third = world.follow()
    await reported(world, 3)
    expect(world.sent.at(-1)?.id).toBe(world.sent.at(-2)?.id)
    await third.close(false)
  })

  it('stores nothing while something is not reported, so that it is reported by the next one', async () => {
    const world = new World()
    const first = world.follow()
    await turns()
    world.failing = true
    world.write('r', requested(), started, awaited)
    await turns()
    await first.close(true)
    expect(world.stored.size).toBe(0)
    expect(world.sent).toEqual([])
    world.failing = false
    const second = world.follow()
    await reported(world, 1)
    expect(world.told).toEqual(['ReportFailure incident:ten_a/r.1'])
    await second.close(true)
  })

  it('takes a damaged snapshot for none', async () => {
    const world = new World()
    world.write('r', requested(), started, awaited)
    world.stored.set('1', Buffer.from('nonsense'))
    const follower = world.follow()
    await reported(world, 1)
    expect(world.told).toEqual(['ReportFailure incident:ten_a/r.1'])
    await follower.close(true)
  })

  it('looks for runs that stand still', async () => {
    const world = new World()
    const follower = world.follow()
    await turns()
    world.write('r', requested(), started)
    await turns()
    world.now += 800
    world.sweep?.()
    await turns()
    expect(world.told).toEqual([])
    world.now += 400
    world.sweep?.()
    await reported(world, 1)
    expect(world.told).toEqual(['ProposeIntervention incident:ten_a/r.1'])
    await follower.close(true)
  })

  it('tells an incident that its command was refused', async () => {
    const world = new World()
    const follower = world.follow()
    await turns()
    world.write('r', requested(), started, awaited, {
      type: 'CommandRejected',
      data: { commandType: 'RecoverExecution', code: 'step_unknown', detail: 'no' },
      commandId: 'cmd_recover_1',
    })
    await reported(world, 2)
    expect(world.told.at(-1)).toBe('ReportRefused incident:ten_a/r.1')
    await follower.close(true)
  })
})
