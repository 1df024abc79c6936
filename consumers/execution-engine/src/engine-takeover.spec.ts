import type { JsonValue } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { childStart, createBench, keyOf, step } from '../test/engine-bench.ts'

describe('a run that changes hands', () => {
  it('gives a lost run to another worker with its journal', async () => {
    const bench = createBench()
    const first = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    first.ask('run-1', 1, step('a#1', 'done'))
    await bench.settle()
    const second = bench.worker('w2')
    bench.engine.disconnect(first.session, 'disconnected')
    await bench.settle()
    expect(second.told('assign')).toMatchObject([
      { executionId: 'run-1', attempt: 2, journal: [{ path: 'a#1', status: 'completed', value: 'done' }] },
    ])
  })

  it('fences the attempt of a worker that was taken for dead, and calls a lie a lie', async () => {
    const bench = createBench()
    const first = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    bench.engine.disconnect(first.session, 'heartbeat_missed')
    const again = bench.worker('w1')
    await bench.settle()
    again.ask('run-1', 1, step('a#1', 1))
    again.ask('run-1', 9, step('a#1', 1))
    const liar = bench.worker('w2')
    liar.ask('run-1', 2, step('a#1', 1))
    await bench.settle()
    expect(again.told('nack').map((nack) => nack['code'])).toEqual(['attempt_fenced', 'protocol_violation'])
    expect(liar.told('nack').map((nack) => nack['code'])).toEqual(['protocol_violation'])
  })

  it('gives up a run that kills its workers, after rests that grow, while its neighbours go on', async () => {
    const bench = createBench()
    await bench.start('poison')
    await bench.start('neighbour')
    let seen = 0
    const aggregate = keyOf('poison')
    for (let i = 0; i < 200 && bench.partition.state.executions.has(aggregate); i++) {
      const worker = bench.worker(`w${i}`)
      await bench.settle()
      const together = worker.told('assign').map(({ executionId }) => executionId)
      if (together.includes('neighbour') && !together.includes('poison')) {
        worker.ask('neighbour', Number(worker.told('assign')[0]?.attempt), { type: 'complete', output: 1 })
        await bench.settle()
      }
      if (together.includes('poison')) seen++
      bench.engine.disconnect(worker.session, 'disconnected')
      await bench.settle()
      bench.clock.advance(500)
    }
    expect(seen).toBe(11)
    expect(bench.partition.typesOf(aggregate).at(-1)).toBe('ExecutionFailed')
    expect(bench.partition.typesOf(keyOf('neighbour')).at(-1)).toBe('ExecutionCompleted')
  })

  it('wakes a suspended run when its signal comes, on whatever worker is there', async () => {
    const bench = createBench()
    const first = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    first.ask('run-1', 1, { type: 'wait_start', path: 'w#1', requestHash: 'h', name: 'go' })
    first.ask('run-1', 1, { type: 'suspend', reason: 'waiting' })
    await bench.settle()
    bench.engine.disconnect(first.session, 'disconnected')
    const second = bench.worker('w2')
    await bench.settle()
    expect(second.link.told).toEqual([])
    await bench.send(keyOf('run-1'), {
      type: 'SignalExecution',
      data: { signalId: 's1', name: 'go', payload: { inline: 5 } },
    })
    await bench.settle()
    expect(second.told('assign')).toMatchObject([
      { attempt: 2, journal: [{ path: 'w#1', value: { timedOut: false, payload: 5 } }] },
    ])
  })

  it('takes a partition over: lost attempts go to the queue, timers and owed commands live on', async () => {
    const former = createBench()
    const worker = former.worker('w1')
    await former.start('busy')
    await former.start('asleep')
    await former.settle()
    worker.ask('busy', 1, step('a#1', 1))
    worker.ask('busy', 1, childStart)
    worker.ask('asleep', 1, { type: 'timer_start', path: 't#1', requestHash: 'h', durationMs: 5000 })
    worker.ask('asleep', 1, { type: 'suspend', reason: 'waiting' })
    await former.settle()
    const next = createBench(former.partition.log)
    const other = next.worker('w2')
    await next.settle()
    expect(next.partition.sent).toEqual(former.partition.sent)
    expect(other.told('assign')).toMatchObject([{ executionId: 'busy', attempt: 2 }])
    next.clock.advance(5000)
    await next.settle()
    expect(other.told('assign')[1]).toMatchObject({
      executionId: 'asleep',
      attempt: 2,
      journal: [{ path: 't#1', value: null }],
    })
  })

  it('drops a partition that is lost, and tells the workers', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    bench.partition.live = false
    bench.engine.lost(0)
    expect(worker.told('stop')).toMatchObject([{ executionId: 'run-1', reason: 'fenced' }])
    worker.ask('run-1', 1, step('a#1', 1))
    expect(worker.told('nack')).toMatchObject([{ code: 'attempt_fenced' }])
  })

  it('hands over a fork with the results it took over, and fails one whose seed is no journal', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    const fork = (executionId: string, seed: JsonValue) =>
      bench.send(keyOf(executionId), {
        type: 'StartExecution',
        data: {
          executionId,
          agentId: 'planner',
          input: { inline: 1 },
          requestHash: 'h',
          options: { priority: 0 },
          forkedFrom: { executionId: 'original', seed: { inline: seed } },
        },
      })
    const entry = { status: 'completed', path: 'a#1', requestHash: 'h', kind: 'step', value: 7 }
    await fork('fork-1', [entry])
    await fork('fork-2', 42)
    await bench.settle()
    expect(worker.told('assign')).toMatchObject([{ executionId: 'fork-1', journal: [entry] }])
    expect(bench.partition.typesOf(keyOf('fork-2')).at(-1)).toBe('ExecutionFailed')
  })

  it('runs ten thousand steps and hands them all over', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    for (let i = 1; i <= 10_000; i++) worker.ask('run-1', 1, step(`s#${i}`, i))
    await bench.settle()
    expect(worker.told('ack')).toHaveLength(10_000)
    const next = bench.worker('w2')
    bench.engine.disconnect(worker.session, 'disconnected')
    await bench.settle()
    const [assigned] = next.told('assign')
    expect(assigned?.['journal']).toHaveLength(10_000)
  })
})
