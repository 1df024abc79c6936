import type { RecoveryAction } from '@omium/schemas'
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
