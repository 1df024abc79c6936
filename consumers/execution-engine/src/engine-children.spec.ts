import { describe, expect, it } from 'vitest'
import { childStart, createBench, keyOf, step } from '../test/engine-bench.ts'
import { gatherMs } from './run-requests.ts'

describe('children of a run', () => {
  it('starts a child with the defaults of its agent, which its caller may override', async () => {
    const bench = createBench()
    const worker = bench.worker('w1', 10, [
      'planner',
      { agentId: 'researcher', defaults: { budgetMicroCredits: 500, priority: 3, timeoutMs: 1000 } },
    ])
    await bench.start('parent')
    await bench.settle()
    const child = { type: 'child_start', requestHash: 'h', agentId: 'researcher', input: 1 }
    worker.ask('parent', 1, { ...child, path: 'c#1', childId: 'kid-1', options: {} })
    worker.ask('parent', 1, { ...child, path: 'c#2', childId: 'kid-2', options: { priority: 9 } })
    await bench.settle()
    expect(bench.partition.sent.map(({ data }) => (data as { options: object }).options)).toEqual([
      { budgetMicroCredits: 500, priority: 3, timeoutMs: 1000 },
      { budgetMicroCredits: 500, priority: 9, timeoutMs: 1000 },
    ])
  })

  it('shares a budget out among the children that are asked for at one time, in whatever frames they come', async () => {
    const bench = createBench()
    const worker = bench.worker('w1', 10, [
      'planner',
      'researcher',
      { agentId: 'miser', defaults: { budgetMicroCredits: 7 } },
    ])
    await bench.start('parent', { budgetMicroCredits: 100 })
    await bench.settle()
    const ask = (path: string, agentId = 'researcher') =>
      worker.ask('parent', 1, {
        type: 'child_start',
        requestHash: 'h',
        path,
        childId: path,
        agentId,
        input: 1,
        options: {},
      })
    const granted = () =>
      bench.partition.sent.map(
        ({ data }) => (data as { options: { budgetMicroCredits?: number } }).options.budgetMicroCredits,
      )
    ask('c1')
    await bench.settle()
    ask('c2')
    worker.ask('parent', 1, step('s#1', 1))
    await bench.settle()
    expect(granted()).toEqual([])
    bench.clock.advance(gatherMs)
    await bench.settle()
    expect(granted()).toEqual([50, 50])
    expect(worker.told('ack').map(({ seq }) => seq)).toEqual([1, 2, 3])
    ask('c3', 'miser')
    await bench.settle()
    expect(granted()).toEqual([50, 50, 0])
  })

  it('sends the cancellation of a child after its start, however long that takes', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('parent')
    await bench.settle()
    bench.partition.held = []
    worker.ask('parent', 1, childStart)
    await bench.settle()
    const [goOn] = bench.partition.held
    bench.partition.held = null
    await bench.send(keyOf('parent'), { type: 'CancelExecution', data: {} })
    await bench.settle()
    goOn?.()
    await bench.settle()
    expect(bench.partition.sent.map((sent) => sent.type)).toEqual(['StartExecution', 'CancelExecution'])
  })

  it('starts children, and cancels them with their parent, which closes when they have reported', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('parent')
    await bench.settle()
    worker.ask('parent', 1, childStart)
    await bench.settle()
    expect(bench.partition.sent).toMatchObject([{ type: 'StartExecution', aggregate: keyOf('kid') }])
    await bench.send(keyOf('parent'), { type: 'CancelExecution', data: {} })
    await bench.settle()
    expect(bench.partition.sent.map((sent) => sent.type)).toEqual(['StartExecution', 'CancelExecution'])
    expect(bench.partition.state.executions.has(keyOf('parent'))).toBe(true)
    await bench.send(keyOf('parent'), {
      type: 'DeliverChildOutcome',
      data: { path: 'c#1', childId: 'kid', outcome: { status: 'cancelled' } },
    })
    expect(bench.partition.state.executions.has(keyOf('parent'))).toBe(false)
    expect(bench.partition.log.at(-1)?.envelope.closes).toBe(true)
  })

  it('delivers a child outcome to its parent and closes the child then', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.send(keyOf('kid'), {
      type: 'StartExecution',
      data: {
        executionId: 'kid',
        agentId: 'planner',
        input: { inline: 1 },
        requestHash: 'h',
        options: { priority: 0 },
        parent: { executionId: 'parent', path: 'c#1' },
      },
    })
    await bench.settle()
    worker.ask('kid', 1, { type: 'complete', output: 42 })
    await bench.settle()
    expect(bench.partition.sent).toMatchObject([
      { type: 'DeliverChildOutcome', aggregate: keyOf('parent'), data: { outcome: { output: { inline: 42 } } } },
    ])
    expect(bench.partition.log.at(-1)).toMatchObject({ type: 'OutcomeDelivered', envelope: { closes: true } })
  })
})
