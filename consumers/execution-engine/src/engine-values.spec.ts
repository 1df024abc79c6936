import { inlineLimitBytes } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { createBench, keyOf, step } from '../test/engine-bench.ts'

describe('what the engine does with large values', () => {
  it('keeps the order of a run while a large value is being stored', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    worker.ask('run-1', 1, step('big#1', 'x'.repeat(inlineLimitBytes + 1)), true)
    worker.ask('run-1', 1, step('small#1', 1))
    await bench.settle()
    expect(worker.told('ack').map((ack) => ack['seq'])).toEqual([1, 2])
    expect([...(bench.partition.state.executions.get(keyOf('run-1'))?.settled.keys() ?? [])]).toEqual([
      'big#1',
      'small#1',
    ])
    expect(bench.objects.objects.size).toBe(1)
  })

  it('refuses a value above the limit and goes on', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    worker.ask('run-1', 1, step('huge#1', 'x'.repeat(11 * 1024 * 1024)), true)
    worker.ask('run-1', 1, step('small#1', 1))
    await bench.settle()
    expect(worker.told('nack')).toMatchObject([{ seq: 1, code: 'payload_too_large' }])
    expect(worker.told('ack')).toMatchObject([{ seq: 2 }])
  })

  it('opens stored values when it hands a run over, and fails a run whose value is corrupt', async () => {
    const bench = createBench()
    const first = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    const large = 'y'.repeat(inlineLimitBytes + 1)
    first.ask('run-1', 1, step('big#1', large), true)
    await bench.settle()
    bench.engine.disconnect(first.session, 'disconnected')
    const second = bench.worker('w2')
    await bench.settle()
    expect(second.told('assign')).toMatchObject([{ journal: [{ path: 'big#1', value: large }] }])
    bench.engine.disconnect(second.session, 'disconnected')
    for (const key of bench.objects.objects.keys()) bench.objects.objects.set(key, Buffer.from('"other"'))
    bench.worker('w3')
    await bench.settle()
    expect(bench.partition.log.at(-1)).toMatchObject({
      type: 'ExecutionFailed',
      data: { error: { code: 'object_corrupt' } },
    })
  })

  it('keeps a large result while the object store is away, instead of running the step again', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    bench.store.away = true
    worker.ask('run-1', 1, step('big#1', 'x'.repeat(inlineLimitBytes + 1)), true)
    for (let i = 0; i < 30; i++) {
      bench.clock.advance(5_000)
      await bench.settle()
    }
    expect(worker.link.told.map(({ type }) => type)).toEqual(['assign'])
    bench.store.away = false
    bench.clock.advance(5_000)
    await bench.settle()
    expect(worker.told('ack')).toMatchObject([{ seq: 1 }])
  })

  it('holds a hand-over back while the object store is away, and blames no worker for it', async () => {
    const bench = createBench()
    const first = bench.worker('w1')
    await bench.start('run-1')
    await bench.settle()
    first.ask('run-1', 1, step('big#1', 'x'.repeat(inlineLimitBytes + 1)), true)
    await bench.settle()
    bench.store.away = true
    bench.engine.disconnect(first.session, 'disconnected')
    const second = bench.worker('w2')
    for (let i = 0; i < 30; i++) {
      bench.clock.advance(5_000)
      await bench.settle()
    }
    expect(second.told('assign')).toEqual([])
    bench.store.away = false
    bench.clock.advance(5_000)
    await bench.settle()
    expect(second.told('assign')).toMatchObject([{ attempt: 2 }])
    expect(bench.partition.state.executions.get(keyOf('run-1'))).toMatchObject({ attempt: 2, lostAttempts: 1 })
  })
})
