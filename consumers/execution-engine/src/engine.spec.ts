import { inlineLimitBytes, type JsonValue } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { createBench, keyOf, step, tenant } from '../test/engine-bench.ts'
import { executionMachine } from './machine.ts'
import { gatherMs } from './run-requests.ts'

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
    worker.ask('parent', 1, {
      type: 'child_start',
      path: 'c#1',
      requestHash: 'h',
      childId: 'kid',
      agentId: 'planner',
      input: 1,
      options: {},
    })
    await bench.settle()
    const [goOn] = bench.partition.held
    bench.partition.held = null
    await bench.send(keyOf('parent'), { type: 'CancelExecution', data: {} })
    await bench.settle()
    goOn?.()
    await bench.settle()
    expect(bench.partition.sent.map((sent) => sent.type)).toEqual(['StartExecution', 'CancelExecution'])
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

  it('starts children, and cancels them with their parent, which closes when they have reported', async () => {
    const bench = createBench()
    const worker = bench.worker('w1')
    await bench.start('parent')
    await bench.settle()
    worker.ask('parent', 1, {
      type: 'child_start',
      path: 'c#1',
      requestHash: 'h',
      childId: 'kid',
      agentId: 'planner',
      input: 1,
      options: {},
    })
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

  it('takes a partition over: lost attempts go to the queue, timers and owed commands live on', async () => {
    const former = createBench()
    const worker = former.worker('w1')
    await former.start('busy')
    await former.start('asleep')
    await former.settle()
    worker.ask('busy', 1, step('a#1', 1))
    worker.ask('busy', 1, {
      type: 'child_start',
      path: 'c#1',
      requestHash: 'h',
      childId: 'kid',
      agentId: 'planner',
      input: 1,
      options: {},
    })
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
