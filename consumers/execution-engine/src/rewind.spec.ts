import { commandTo } from '@omium/kit/testing'
import type { ExecutionContextCommand, RecoveryAction } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { createBench, keyOf, step } from '../test/engine-bench.ts'
import { avoidancePatienceMs } from './dispatcher.ts'
import { recoveryPatienceMs } from './domain/decide.ts'

const rollBack = (toPath: string | null) => ({ type: 'RollBackExecution' as const, data: { toPath } })
const recover = (action: RecoveryAction) => ({ type: 'RecoverExecution' as const, data: { incident: 1, action } })
const recovery = { recovery: { policy: 'default' } }
const threw = { type: 'fail', error: { code: 'agent_threw', detail: 'boom', retryable: false } }

describe('the engine, when a run is rolled back', () => {
  it('stops the live attempt and hands the run out again with what is kept', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    worker.ask('run-1', 1, step('a#1', 1))
    worker.ask('run-1', 1, step('b#1', 2))
    await bench.settle()
    await bench.send(keyOf('run-1'), rollBack('a#1'))
    await bench.settle()
    expect(worker.told('stop')).toMatchObject([{ attempt: 1, reason: 'fenced' }])
    expect(worker.told('assign').at(-1)).toMatchObject({
      attempt: 2,
      generation: 1,
      journal: [{ path: 'a#1', value: 1 }],
    })
    worker.ask('run-1', 1, step('c#1', 3))
    await bench.settle()
    expect(worker.told('nack')).toMatchObject([{ code: 'attempt_fenced' }])
  })

  it('has new identities for all that runs again, roll back after roll back, and comes to its end', async () => {
    const bench = createBench()
    const worker = bench.worker('w1', 10, ['planner', 'researcher'])
    let delivered = 0
    const deliver = async () => {
      await bench.settle()
      for (let sent = bench.partition.sent[delivered]; sent; sent = bench.partition.sent[delivered]) {
        delivered++
        const command = { type: sent.type, data: sent.data } as ExecutionContextCommand
        await bench.engine.command(bench.partition, commandTo(sent.aggregate, command, { id: sent.id }))
        await bench.settle()
      }
    }
    /** pays, keeps a state, calls a child by an id of its own */
    const play = async (attempt: number) => {
      const pay = { path: 'pay#1', name: 'pay', kind: 'step', stepAttempt: 1, requestHash: 'p' }
      worker.ask('run-1', attempt, { type: 'step_started', ...pay, intent: { reserveMicroCredits: 0 } })
      worker.ask('run-1', attempt, step('pay#1', 'paid', { ...pay }))
      worker.ask('run-1', attempt, step('save#1', { n: 1 }, { kind: 'checkpoint' }))
      const kid = { childId: 'kid', agentId: 'researcher', input: 1, options: {} }
      worker.ask('run-1', attempt, { type: 'child_start', path: 'kid#1', requestHash: 'k', ...kid })
      await deliver()
    }
    await bench.start('run-1')
    await bench.settle()
    for (const attempt of [1, 2, 3]) {
      await play(attempt)
      if (attempt < 3) await bench.send(keyOf('run-1'), rollBack(null))
      await deliver()
    }
    const history = bench.partition.log.filter(({ envelope }) => envelope.aggregate === keyOf('run-1'))
    const keys = worker.told('ack').flatMap(({ idempotencyKey }) => (idempotencyKey ? [idempotencyKey] : []))
    expect(new Set(keys).size).toBe(3)
    expect(
      history.flatMap(({ type, data }) => (type === 'ChildRequested' ? [(data as { childId: string }).childId] : [])),
    ).toEqual(['kid', 'kid.g1', 'kid.g2'])
    // what a checkpoint is called by follows from the version of its record, and in a worker from the generation
    expect(history.filter(({ data }) => (data as { kind?: string }).kind === 'checkpoint')).toHaveLength(3)
    const ofParent = worker.told('assign').filter(({ executionId }) => executionId === 'run-1')
    expect(ofParent.map(({ generation }) => generation)).toEqual([0, 1, 2])
    expect(bench.partition.typesOf(keyOf('kid.g1')).slice(-2)).toEqual(['ExecutionCancelled', 'OutcomeDelivered'])

    worker.ask('kid.g2', 1, { type: 'complete', output: 'found' })
    await deliver()
    expect(worker.told('resolve')).toMatchObject([{ executionId: 'run-1', attempt: 3, entry: { value: 'found' } }])
    worker.ask('run-1', 3, { type: 'complete', output: 'done' })
    await deliver()
    expect(bench.partition.typesOf(keyOf('run-1')).at(-1)).toBe('ExecutionCompleted')
    expect(bench.partition.state.executions.size).toBe(0)
  })

  it('forgets the timers behind the point', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    worker.ask('run-1', 1, { type: 'timer_start', path: 't#1', requestHash: 'h', durationMs: 50 })
    await bench.settle()
    await bench.send(keyOf('run-1'), rollBack(null))
    bench.clock.advance(100)
    await bench.settle()
    expect(bench.partition.typesOf(keyOf('run-1'))).not.toContain('TimerFired')
  })
})

describe('the engine, when a run fails under recovery', () => {
  it('keeps it until somebody decides, and avoids the worker if it can', async () => {
    const bench = createBench()
    const first = bench.worker('w1')
    await bench.start('run-1', recovery)
    await bench.settle()
    first.ask('run-1', 1, threw)
    await bench.settle()
    expect(bench.partition.state.executions.get(keyOf('run-1'))?.status).toBe('recovering')
    const second = bench.worker('w2', 1)
    const overrides = { models: { '*': 'other' } }
    await bench.send(keyOf('run-1'), recover({ type: 'retry', delayMs: 20, avoidWorker: true, overrides }))
    await bench.settle()
    expect(second.told('assign')).toEqual([])
    bench.clock.advance(20)
    await bench.settle()
    expect(second.told('assign')).toMatchObject([{ attempt: 2, overrides }])
  })

  it('holds it back from the avoided worker while another one is only busy', async () => {
    const bench = createBench()
    const first = bench.worker('w1')
    await bench.start('run-1', recovery)
    await bench.settle()
    first.ask('run-1', 1, threw)
    const second = bench.worker('w2', 1)
    await bench.settle()
    second.session.hold({ executionId: 'other' } as never)
    await bench.send(keyOf('run-1'), recover({ type: 'retry', delayMs: 0, avoidWorker: true }))
    await bench.settle()
    expect([first, second].map((worker) => worker.told('assign').length)).toEqual([1, 0])
    second.session.release(second.session.runs.get('other') as never)
    bench.engine.ready(second.session)
    await bench.settle()
    expect(second.told('assign')).toMatchObject([{ attempt: 2 }])
  })

  it('gives it to the avoided worker after a while when the other stays busy, or at once when it leaves', async () => {
    for (const leaves of [true, false]) {
      const bench = createBench()
      const first = bench.worker('w1')
      await bench.start('run-1', recovery)
      await bench.settle()
      first.ask('run-1', 1, threw)
      const second = bench.worker('w2', 0)
      await bench.settle()
      await bench.send(keyOf('run-1'), recover({ type: 'retry', delayMs: 0, avoidWorker: true }))
      bench.clock.advance(avoidancePatienceMs - 1)
      await bench.settle()
      expect(first.told('assign')).toHaveLength(1)
      // whoever comes later is not kept waiting
      await bench.start('run-2')
      await bench.settle()
      expect(first.told('assign').at(-1)).toMatchObject({ executionId: 'run-2' })
      if (leaves) bench.engine.disconnect(second.session, 'disconnected')
      else bench.clock.advance(1)
      await bench.settle()
      expect(first.told('assign').at(-1)).toMatchObject({ executionId: 'run-1', attempt: 2 })
      expect(bench.engine.waiting).toBe(0)
    }
  })

  it('gives it to the avoided worker when there is no other', async () => {
    const bench = createBench()
    const only = bench.worker('w1')
    await bench.start('run-1', recovery)
    await bench.settle()
    only.ask('run-1', 1, threw)
    await bench.settle()
    await bench.send(keyOf('run-1'), recover({ type: 'retry', delayMs: 0, avoidWorker: true }))
    await bench.settle()
    expect(only.told('assign').at(-1)).toMatchObject({ attempt: 2 })
  })

  it('fails it when nobody decides in time, also when another engine took it over', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1', recovery)
    await bench.settle()
    worker.ask('run-1', 1, threw)
    await bench.settle()
    const later = createBench(bench.partition.log)
    later.clock.advance(recoveryPatienceMs)
    await later.settle()
    expect(later.partition.log.at(-1)).toMatchObject({
      type: 'ExecutionFailed',
      data: { error: { code: 'agent_threw' } },
    })
  })

  it('waits as long as it is held', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1', recovery)
    await bench.settle()
    worker.ask('run-1', 1, threw)
    await bench.settle()
    const untilMs = bench.clock.now + 2 * recoveryPatienceMs
    await bench.send(keyOf('run-1'), recover({ type: 'hold', untilMs }))
    bench.clock.advance(recoveryPatienceMs)
    await bench.settle()
    expect(bench.partition.state.executions.get(keyOf('run-1'))?.status).toBe('recovering')
    bench.clock.advance(recoveryPatienceMs)
    await bench.settle()
    expect(bench.partition.typesOf(keyOf('run-1')).at(-1)).toBe('ExecutionFailed')
  })
})

describe('the engine, when a run is interrupted', () => {
  it('stops its worker and ends the attempt as if the code had thrown', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    const error = { code: 'step_timeout' as const, detail: 'it hangs', retryable: false }
    await bench.send(keyOf('run-1'), { type: 'InterruptExecution', data: { error } })
    await bench.settle()
    expect(worker.told('stop')).toMatchObject([{ reason: 'fenced' }])
    expect(bench.partition.log.at(-1)).toMatchObject({ type: 'ExecutionFailed', data: { error } })
  })
})

describe('the engine, when it hands a simulated fork over', () => {
  it('sends its recordings, and of its seed what a roll back left', async () => {
    const bench = createBench()
    const entry = (path: string) => ({ status: 'completed', path, kind: 'step', requestHash: 'h', value: path })
    const recordings = [{ name: 'a', kind: 'tool', path: 'a#1', requestHash: 'h', value: 1 }]
    await bench.send(keyOf('run-1'), {
      type: 'StartExecution',
      data: {
        executionId: 'run-1',
        agentId: 'planner',
        input: { inline: null },
        requestHash: 'h',
        options: { priority: 0, simulate: true },
        forkedFrom: {
          executionId: 'run-0',
          seed: { inline: [entry('s#1'), entry('s#2')] },
          recordings: { inline: recordings },
        },
      },
    })
    await bench.send(keyOf('run-1'), rollBack('s#1'))
    const worker = bench.worker('w1')
    await bench.settle()
    expect(worker.told('assign')).toMatchObject([{ simulate: true, recordings, journal: [{ path: 's#1' }] }])
  })
})
