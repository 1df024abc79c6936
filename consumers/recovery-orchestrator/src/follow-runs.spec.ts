import type { AcceptedEvent, LogContext } from '@omium/log'
import { type ExecutionEvent, executionOptions } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { policyOf } from '../test/given.ts'
import { followRuns, type RunReport } from './follow-runs.ts'

type Written = ExecutionEvent | { type: 'CommandRejected'; data: object; commandId: string }

/** A partition of executions that specs write, and readers that come and go. */
class World {
  readonly log: AcceptedEvent[] = []
  readonly #versions = new Map<string, number>()
  now = 1000
  readonly policy = policyOf({ stalls: { afterMs: 1000 } })

  write(run: string, ...events: Written[]): this {
    for (const event of events) {
      this.now += 10
      const { type, data } = event
      const version = type === 'CommandRejected' ? 0 : (this.#versions.get(run) ?? 0) + 1
      if (version > 0) this.#versions.set(run, version)
      const envelope = {
        id: `evt_${this.log.length}`,
        type,
        schemaVersion: 1,
        tenant: 'ten_a',
        aggregate: `execution:ten_a/${run}`,
        correlationId: 'c',
        actor: 'system',
        time: this.now,
        version,
        epoch: 1,
        ...('commandId' in event && { commandId: event.commandId }),
      }
      this.log.push({ envelope, type, data, partition: 0, offset: this.log.length })
    }
    return this
  }

  /** @param memory of an earlier reader that read up to `from` */
  reader(memory: unknown = null, from = 0) {
    const following = followRuns({
      log: {} as LogContext,
      commands: { send: async () => undefined },
      knowledge: { policy: (_tenant, name) => ({ ref: { name, version: 1 }, policy: this.policy }) },
      clock: { nowMs: () => this.now, after: () => () => undefined },
      sweepMs: 7,
    })
    const given = memory as Parameters<typeof following.begin>[0]
    const reader = following.begin(given, { partition: 0, endOffset: this.log.length })
    let next = from
    return {
      /** takes in what was written since, as one batch */
      read: (): string[] => {
        const batch = this.log.slice(next).filter(({ envelope }) => reader.wants(envelope))
        next = this.log.length
        return told([...batch.flatMap((event) => reader.observe(event)), ...(reader.batchRead?.(next) ?? [])])
      },
      sweep: async (isCurrent = true) => told((await reader.sweep?.(async () => isCurrent)) ?? []),
      memory: () => structuredClone(reader.memory()),
      get size() {
        return reader.size
      },
    }
  }
}

const told = (reports: readonly RunReport[]): string[] =>
  reports.map(({ report }) => `${report.command.type} ${report.incident}`)

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

describe('a follower of runs', () => {
  it('reports failures of the runs that ask for it, as they come', () => {
    const world = new World()
    const reader = world.reader()
    world.write('r', requested(), started, awaited).write('plain', requested(false), started, awaited)
    expect(reader.read()).toEqual(['ReportFailure r.1'])
    expect(reader.size).toBe(1)
  })

  it('reads what was before it in silence, but for failures that are not over and for every end', () => {
    const world = new World()
    world.write('r', requested(), started, awaited).write('old', requested(true, 'old'), started, awaited, completed)
    const reader = world.reader()
    expect(reader.read()).toEqual(['ReportFailure r.1', 'ReportRecovered old.1'])
  })

  it('remembers nothing before the silent part is over', () => {
    const world = new World()
    const reader = world.write('r', requested(), started, awaited).reader()
    expect(reader.memory()).toBeNull()
    reader.read()
    expect(reader.memory()).not.toBeNull()
  })

  it('goes on from what another remembered', () => {
    const world = new World()
    const first = world.reader()
    world.write('r', requested(), started, awaited)
    first.read()
    const place = world.log.length
    world.write('r', completed)
    expect(world.reader(first.memory(), place).read()).toEqual(['ReportRecovered r.1'])
  })

  it('looks for runs that stand still, when nothing waits to be read', async () => {
    const world = new World()
    const reader = world.reader()
    world.write('r', requested(), started)
    reader.read()
    world.now += 800
    expect(await reader.sweep()).toEqual([])
    world.now += 400
    expect(await reader.sweep(false)).toEqual([])
    expect(await reader.sweep()).toEqual(['ProposeIntervention r.1'])
  })

  it('tells an incident that its command was refused', () => {
    const world = new World()
    const reader = world.reader()
    const data = { commandType: 'RecoverExecution', code: 'step_unknown', detail: 'no' }
    world.write('r', requested(), started, awaited)
    world.write('r', { type: 'CommandRejected', data, commandId: 'cmd_recover_1' })
    expect(reader.read()).toEqual(['ReportFailure r.1', 'ReportRefused r.1'])
  })
})
