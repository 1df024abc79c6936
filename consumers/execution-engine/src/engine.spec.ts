import { describe, expect, it } from 'vitest'
import { createBench, keyOf, step, tenant } from '../test/engine-bench.ts'
import { executionMachine } from './machine.ts'

describe('the engine', () => {
  it('requests and starts a run in one append when a worker is free', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    bench.partition.automatic = false
    const started = bench.start('run-1')
    expect(bench.partition.typesOf(keyOf('run-1'))).toEqual(['ExecutionRequested', 'ExecutionStarted'])
    await bench.settle()
    expect(worker.link.told).toEqual([])
    bench.partition.accept()
    await started
    await bench.settle()
    expect(worker.told('assign')).toMatchObject([{ executionId: 'run-1', attempt: 1, journal: [] }])
  })

  it('acknowledges a step only after its event is accepted, and in order', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    bench.partition.automatic = false
    worker.ask('run-1', 1, step('a#1', 1))
    worker.ask('run-1', 1, step('b#1', 2))
    await bench.settle()
    expect(worker.told('ack')).toEqual([])
    bench.partition.accept()
    await bench.settle()
    expect(worker.told('ack').map((ack) => ack['seq'])).toEqual([1, 2])
  })

  it('forgets the limits of runs that have ended long before', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    for (let i = 0; i < 25_000; i++) {
      void bench.start(`run-${i}`, { timeoutMs: 86_400_000 })
      if (i % 500 === 499) await bench.settle()
      worker.session.runs.forEach((run) => {
        worker.ask(run.executionId, 1, { type: 'complete', output: 1 })
      })
    }
    await bench.settle()
    expect(bench.engine.moments).toBeLessThanOrEqual(10_001)
  })

  it('shows live output of the attempt that runs, and of no other', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    const delta = { type: 'delta', executionId: 'run-1', path: 'chat#1', text: 'Hel' }
    worker.say({ ...delta, attempt: 1 })
    worker.say({ ...delta, attempt: 2 })
    worker.ask('run-1', 1, { type: 'complete', output: 1 })
    worker.say({ ...delta, attempt: 1 })
    expect(bench.shown).toEqual([{ tenant, executionId: 'run-1', path: 'chat#1', attempt: 1, text: 'Hel' }])
    expect(bench.partition.typesOf(keyOf('run-1'))).not.toContain('delta')
  })

  it('pushes what settles while a worker holds the run, after the assignment', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    worker.ask('run-1', 1, { type: 'timer_start', path: 't#1', requestHash: 'h', durationMs: 1000 })
    await bench.settle()
    bench.clock.advance(1000)
    await bench.settle()
    expect(worker.link.told.map((message) => message.type)).toEqual(['assign', 'ack', 'resolve'])
    expect(worker.told('resolve')).toMatchObject([{ entry: { path: 't#1', status: 'completed', value: null } }])
  })

  it('gives slots by priority, then age, and lends the slot of a run that waits', async () => {
    const bench = createBench()
    await bench.start('old')
    bench.clock.advance(1)
    await bench.start('young')
    await bench.start('urgent', { priority: 5 })
    const worker = bench.worker('w1', 1)
    await bench.settle()
    expect(worker.told('assign').map((a) => a.executionId)).toEqual(['urgent'])
    worker.say({ type: 'waiting', executionId: 'urgent', attempt: 1 })
    await bench.settle()
    expect(worker.told('assign').map((a) => a.executionId)).toEqual(['urgent', 'old'])
    worker.ask('old', 1, { type: 'complete', output: null })
    await bench.settle()
    expect(worker.told('assign').map((a) => a.executionId)).toEqual(['urgent', 'old', 'young'])
  })

  it('drains a worker: nothing new, and a word when it holds no run', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    worker.session.drain()
    await bench.start('run-2')
    worker.ask('run-1', 1, { type: 'suspend', reason: 'drained' })
    await bench.settle()
    expect(worker.link.told.map((message) => message.type)).toEqual(['assign', 'ack', 'drained'])
  })

  it('stops the attempt of a run that is cancelled, paused or too slow', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('a')
    await bench.start('b')
    await bench.start('c', { timeoutMs: 100 })
    await bench.settle()
    await bench.send(keyOf('a'), { type: 'CancelExecution', data: {} })
    await bench.send(keyOf('b'), { type: 'PauseExecution', data: {} })
    bench.clock.advance(100)
    await bench.settle()
    expect(worker.told('stop').map((stop) => stop['reason'])).toEqual(['cancelled', 'paused', 'timed_out'])
    expect(worker.session.runs.size).toBe(0)
  })

  it('holds a run back until the pool of its key grants a permit, and returns it', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1', { concurrency: { key: 'k', limit: 1 } })
    await bench.settle()
    const pool = `permits:${tenant}/k`
    expect(bench.partition.sent).toMatchObject([{ type: 'AcquirePermit', aggregate: pool }])
    await bench.send(pool, { type: 'AcquirePermit', data: { executionId: 'run-1', limit: 1, priority: 0 } })
    await bench.settle()
    expect(bench.partition.sent[1]).toMatchObject({ type: 'GrantPermit', aggregate: keyOf('run-1') })
    await bench.send(keyOf('run-1'), { type: 'GrantPermit', data: { key: 'k' } })
    await bench.settle()
    worker.ask('run-1', 1, { type: 'complete', output: 1 })
    await bench.settle()
    expect(bench.partition.sent[2]).toMatchObject({ type: 'ReleasePermit' })
    expect(bench.partition.log.at(-1)).toMatchObject({ type: 'PermitReturned', envelope: { closes: true } })
  })

  it('recognises a late repetition of a start after the run has closed', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    worker.ask('run-1', 1, { type: 'complete', output: 1 })
    await bench.settle()
    await bench.start('run-1')
    expect(bench.partition.log.at(-1)).toMatchObject({ type: 'CommandDeduplicated', data: { outcome: 'accepted' } })
    await bench.send(keyOf('run-1'), {
      type: 'SignalExecution',
      data: { signalId: 's', name: 'n', payload: { inline: 1 } },
    })
    expect(bench.partition.log.at(-1)).toMatchObject({ type: 'CommandRejected', data: { code: 'execution_finished' } })
  })

  it.each(['queued', 'running', 'paused', 'suspended', 'finished', 'closed'])(
    'tells the same start from another one while the run is %s, also after a restart from a snapshot',
    async (when) => {
      const bench = createBench()
      const worker = when === 'queued' ? undefined : bench.worker('w1')
      await bench.start('run-1')
      await bench.settle()
      if (when === 'paused') await bench.send(keyOf('run-1'), { type: 'PauseExecution', data: {} })
      if (when === 'suspended') {
        worker?.ask('run-1', 1, { type: 'timer_start', path: 't#1', requestHash: 'h', durationMs: 1000 })
        worker?.ask('run-1', 1, { type: 'suspend', reason: 'waiting' })
      }
      if (when === 'finished') {
        const child = { path: 'c#1', requestHash: 'h', childId: 'kid', agentId: 'planner', input: 1, options: {} }
        worker?.ask('run-1', 1, { type: 'child_start', ...child })
      }
      if (when === 'finished' || when === 'closed') worker?.ask('run-1', 1, { type: 'complete', output: 1 })
      await bench.settle()
      for (const restarted of [false, true]) {
        if (restarted) {
          const encoded = JSON.parse(JSON.stringify(executionMachine.encode(bench.partition.state)))
          bench.partition.state = executionMachine.decode(encoded)
        }
        await bench.start('run-1')
        expect(bench.partition.log.at(-1)).toMatchObject({ type: 'CommandDeduplicated', data: { outcome: 'accepted' } })
        await bench.send(keyOf('run-1'), {
          type: 'StartExecution',
          data: {
            executionId: 'run-1',
            agentId: 'planner',
            input: { inline: 'other' },
            requestHash: 'other',
            options: { priority: 0 },
          },
        })
        expect(bench.partition.log.at(-1)).toMatchObject({
          type: 'CommandRejected',
          data: { code: 'execution_conflict' },
        })
      }
    },
  )

  it('is overloaded while too much waits for the log', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    bench.partition.automatic = false
    for (let i = 1; i <= 50_001; i++) worker.ask('run-1', 1, step(`s#${i}`, 0))
    expect(bench.engine.overloaded).toBe(true)
    bench.partition.accept()
    await bench.settle()
    expect(bench.engine.overloaded).toBe(false)
  })

  it('refuses what the log cannot take, and the attempt goes on', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    bench.partition.refusing = true
    worker.ask('run-1', 1, { type: 'complete', output: 'cannot be encoded' })
    await bench.settle()
    expect(worker.told('nack')).toMatchObject([{ code: 'internal' }])
    bench.partition.refusing = false
    worker.ask('run-1', 1, { type: 'complete', output: 'fine' })
    await bench.settle()
    expect(bench.partition.typesOf(keyOf('run-1')).at(-1)).toBe('ExecutionCompleted')
  })
})
