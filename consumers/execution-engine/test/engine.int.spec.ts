import { createDeltaSubscriber } from '@omium/deltas'
import { eventually, testStack } from '@omium/dev/testing'
import { type DeltaView, deadLettersTopic } from '@omium/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EngineProcess, isOf, openPlatform, type Platform, runKey } from './platform.ts'
import { countingScript, ScriptedWorker, stepRequest, tenant } from './scripted-worker.ts'

let platform: Platform
let engine: EngineProcess
const workers: ScriptedWorker[] = []
const worker = (...args: ConstructorParameters<typeof ScriptedWorker>): ScriptedWorker => {
  const scripted = new ScriptedWorker(...args)
  workers.push(scripted)
  return scripted
}

beforeAll(async () => {
  platform = await openPlatform()
  engine = await platform.startEngine()
})
afterAll(async () => {
  for (const w of workers) w.cut()
  await platform.close()
})

describe('a run on the real log', { timeout: 120_000 }, () => {
  it('of ten steps is recorded step by step and completed', async () => {
    const w = worker(engine.url, { ten: countingScript(10) })
    await w.waitFor('welcome')
    await platform.start('ten-1', 'ten')
    const completed = await platform.until(isOf('ten-1', 'ExecutionCompleted'))
    expect(completed.data).toMatchObject({ attempt: 1, output: { inline: 10 } })
    expect(completed.envelope.closes).toBe(true)
    expect(platform.of('ten-1').map((event) => event.type)).toEqual([
      'ExecutionRequested',
      'ExecutionStarted',
      ...Array(10).fill('StepCompleted'),
      'ExecutionCompleted',
    ])
    await platform.until((event) => event.type === 'AgentRegistered')
    w.cut()
  })

  it('shows what its steps put out to whoever watches, and records nothing of it', async () => {
    const gate = Promise.withResolvers<void>()
    const w = worker(engine.url, { talkative: countingScript(1, () => gate.promise) })
    await w.waitFor('welcome')
    const onError = (): void => {}
    const watcher = createDeltaSubscriber({
      url: testStack().redisUrl,
      topicPrefix: platform.context.topicPrefix,
      onError,
    })
    const heard: DeltaView[] = []
    watcher.subscribe(tenant, 'talk-1', (delta) => heard.push(delta))
    await platform.start('talk-1', 'talkative')
    await w.waitFor('assign', ({ executionId }) => executionId === 'talk-1')
    await eventually(() => {
      w.send({ type: 'delta', executionId: 'talk-1', attempt: 1, path: 'chat#1', text: 'Hello' })
      expect(heard[0]).toEqual({ path: 'chat#1', attempt: 1, text: 'Hello' })
    })
    gate.resolve()
    await platform.until(isOf('talk-1', 'ExecutionCompleted'))
    expect(platform.of('talk-1').map((event) => event.type)).toEqual([
      'ExecutionRequested',
      'ExecutionStarted',
      'StepCompleted',
      'ExecutionCompleted',
    ])
    watcher.close()
    w.cut()
  })

  it('whose worker is cut off goes on elsewhere, and no recorded step runs again', async () => {
    let cutAt: (() => void) | undefined
    const reached = new Promise<void>((resolve) => {
      cutAt = resolve
    })
    const first = worker(engine.url, {
      cut: countingScript(10, async (_, step) => {
        if (step !== 6) return
        cutAt?.()
        await new Promise(() => {})
      }),
    })
    await first.waitFor('welcome')
    await platform.start('cut-1', 'cut')
    await reached
    const second = worker(engine.url, { cut: countingScript(10) })
    await second.waitFor('welcome')
    first.cut()
    await platform.until(isOf('cut-1', 'ExecutionCompleted'))
    expect(first.ran).toHaveLength(5)
    expect(second.ran).toEqual([6, 7, 8, 9, 10].map((i) => `cut-1@2 s#${i}`))
    expect(platform.of('cut-1').filter((event) => event.type === 'StepCompleted')).toHaveLength(10)
    second.cut()
  })

  it('whose worker falls silent is taken from it when its lease ends', async () => {
    const first = worker(engine.url, { mute: () => new Promise(() => {}) })
    await first.waitFor('welcome')
    await platform.start('mute-1', 'mute')
    await first.waitFor('assign')
    const second = worker(engine.url, { mute: countingScript(1) })
    await second.waitFor('welcome')
    first.fallSilent()
    const lost = await platform.until(isOf('mute-1', 'AttemptLost'))
    expect(lost.data).toMatchObject({ reason: 'heartbeat_missed' })
    await platform.until(isOf('mute-1', 'ExecutionCompleted'))
    second.cut()
  })

  it('sleeps, waits for a signal and for an approval', async () => {
    const w = worker(engine.url, {
      patient: async ({ call }) => {
        await call({ type: 'timer_start', path: 'nap#1', requestHash: 'h', durationMs: 50 })
        const signal = await call({ type: 'wait_start', path: 'go#1', requestHash: 'h', name: 'go' })
        const approval = await call({ type: 'approval_request', path: 'ok#1', requestHash: 'h', title: 'Go?' })
        return [signal, approval].map((entry) => (entry?.status === 'completed' ? entry.value : null))
      },
    })
    await w.waitFor('welcome')
    await platform.start('patient-1', 'patient')
    await platform.until(isOf('patient-1', 'WaitStarted'))
    await platform.command(runKey('patient-1'), {
      type: 'SignalExecution',
      data: { signalId: 's1', name: 'go', payload: { inline: 'now' } },
    })
    await platform.until(isOf('patient-1', 'ApprovalRequested'))
    await platform.command(runKey('patient-1'), {
      type: 'DecideApproval',
      data: { path: 'ok#1', decision: 'approved', comment: 'fine' },
    })
    const completed = await platform.until(isOf('patient-1', 'ExecutionCompleted'))
    expect(completed.data).toMatchObject({
      output: {
        inline: [
          { timedOut: false, payload: 'now' },
          { approved: true, by: 'key:spec', comment: 'fine' },
        ],
      },
    })
    w.cut()
  })

  it('calls a child, which may live on another partition, and gets its result', async () => {
    const w = worker(engine.url, {
      parent: async ({ call, executionId }) => {
        const entries = await Promise.all(
          [1, 2, 3].map((i) =>
            call({
              type: 'child_start',
              path: `c#${i}`,
              requestHash: 'h',
              childId: `${executionId}.c${i}`,
              agentId: 'counter',
              input: i,
            }),
          ),
        )
        return entries.map((entry) => (entry?.status === 'completed' ? entry.value : null))
      },
      counter: countingScript(3),
    })
    await w.waitFor('welcome')
    await platform.start('parent-1', 'parent')
    const completed = await platform.until(isOf('parent-1', 'ExecutionCompleted'))
    expect(completed.data).toMatchObject({ output: { inline: [3, 3, 3] } })
    const delivered = await platform.until(isOf('parent-1.c3', 'OutcomeDelivered'))
    expect(delivered.envelope.closes).toBe(true)
    w.cut()
  })

  it('of one key runs one at a time', async () => {
    let running = 0
    let most = 0
    const w = worker(engine.url, {
      limited: countingScript(2, async () => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running--
      }),
    })
    await w.waitFor('welcome')
    const ids = [1, 2, 3, 4, 5].map((i) => `limited-${i}`)
    for (const id of ids) await platform.start(id, 'limited', { concurrency: { key: 'one', limit: 1 } })
    for (const id of ids) await platform.until(isOf(id, 'PermitReturned'))
    const spans = ids.map((id) => {
      const events = platform.of(id)
      const at = (type: string): number => events.find((event) => event.type === type)?.envelope.time ?? Number.NaN
      return { from: at('PermitGranted'), to: at('ExecutionCompleted') }
    })
    spans.sort((a, b) => a.from - b.from)
    for (const [i, span] of spans.entries()) {
      const next = spans[i + 1]
      if (next) expect(next.from).toBeGreaterThanOrEqual(span.to)
    }
    w.cut()
  })

  it('moves large values through object storage', async () => {
    const large = 'z'.repeat(200_000)
    const w = worker(engine.url, {
      large: async ({ call }) => {
        await call(stepRequest('big#1', large))
        return large
      },
    })
    await w.waitFor('welcome')
    await platform.start('large-1', 'large')
    const completed = await platform.until(isOf('large-1', 'ExecutionCompleted'))
    expect(completed.data).toMatchObject({ output: { ref: { bytes: 200_002 } } })
    w.cut()
  })

  it('of ten thousand steps works, also when it changes workers in the end', async () => {
    let reachedEnd: (() => void) | undefined
    const reached = new Promise<void>((resolve) => {
      reachedEnd = resolve
    })
    const many: ConstructorParameters<typeof ScriptedWorker>[1] = {
      long: async ({ call }) => {
        for (let i = 0; i < 100; i++) {
          await Promise.all(Array.from({ length: 100 }, (_, j) => call(stepRequest(`s#${i * 100 + j}`, j))))
        }
        reachedEnd?.()
        return new Promise(() => {})
      },
    }
    const first = worker(engine.url, many)
    await first.waitFor('welcome')
    await platform.start('long-1', 'long')
    await reached
    const second = worker(engine.url, {
      long: async ({ call }) => {
        for (let i = 0; i < 10_000; i++) await call(stepRequest(`s#${i}`, 0))
        return 'done'
      },
    })
    await second.waitFor('welcome')
    first.cut()
    await platform.until(isOf('long-1', 'ExecutionCompleted'))
    expect(second.ran).toEqual([])
    expect((await second.waitFor('assign')).journalEntries).toBe(10_000)
    second.cut()
  })
})

describe('bad input', () => {
  const answerTo = (id: string) => platform.until((event) => event.envelope.commandId === id)

  it('a signal to a finished run is rejected', async () => {
    const { id } = await platform.command(runKey('ten-1'), {
      type: 'SignalExecution',
      data: { signalId: 's', name: 'go', payload: { inline: 1 } },
    })
    expect((await answerTo(id)).data).toMatchObject({ code: 'execution_finished' })
  })

  it('a signal to no run is rejected', async () => {
    const { id } = await platform.command(runKey('nobody'), { type: 'CancelExecution', data: {} })
    expect((await answerTo(id)).data).toMatchObject({ code: 'execution_unknown' })
  })

  it('a second start is recognised, and refused with another input', async () => {
    await platform.start('dup-1', 'nobody-runs-this')
    const same = await platform.start('dup-1', 'nobody-runs-this')
    expect(await answerTo(same.id)).toMatchObject({ type: 'CommandDeduplicated', data: { outcome: 'accepted' } })
    const other = await platform.command(runKey('dup-1'), {
      type: 'StartExecution',
      data: {
        executionId: 'dup-1',
        agentId: 'nobody-runs-this',
        input: { inline: 2 },
        requestHash: 'other',
        options: { priority: 0 },
      },
    })
    expect((await answerTo(other.id)).data).toMatchObject({ code: 'execution_conflict' })
  })

  it('a worker that lies about its attempt is refused and changes nothing', async () => {
    const w = worker(engine.url, { honest: () => new Promise(() => {}) })
    await w.waitFor('welcome')
    await platform.start('lie-1', 'honest')
    await w.waitFor('assign')
    await platform.until(isOf('lie-1', 'ExecutionStarted'))
    const before = platform.of('lie-1').length
    w.send({ executionId: 'lie-1', attempt: 2, seq: 1, ...stepRequest('s#1', 1) })
    expect((await w.waitFor('nack')).error.code).toBe('protocol_violation')
    expect(platform.of('lie-1')).toHaveLength(before)
    w.cut()
  })

  it('what is no message is refused: by its number when it has one, with the connection when not', async () => {
    const w = worker(engine.url, {})
    await w.waitFor('welcome')
    w.send({ type: 'complete', executionId: 'x', attempt: 1, seq: 7 })
    expect(await w.waitFor('nack')).toMatchObject({ seq: 7, error: { code: 'protocol_violation' } })
    w.sendText('garbage')
    expect((await w.waitFor('refused')).error.code).toBe('protocol_violation')
    expect((await w.closed).code).toBe(1008)
  })

  it('an unknown protocol version or a forged token is refused', async () => {
    const future = worker(engine.url, {}, { protocol: 99 })
    expect((await future.waitFor('refused')).error.code).toBe('protocol_unsupported')
    const forged = worker(engine.url, {}, { token: 'forged.token' })
    expect((await forged.waitFor('refused')).error.code).toBe('unauthenticated')
  })

  it('an oversized value is refused and the run goes on', async () => {
    const codes: unknown[] = []
    const w = worker(engine.url, {
      greedy: async ({ call }) => {
        await call(stepRequest('huge#1', 'h'.repeat(11 * 1024 * 1024))).catch((error) => codes.push(error.code))
        return 'fine'
      },
    })
    await w.waitFor('welcome')
    await platform.start('greedy-1', 'greedy')
    await platform.until(isOf('greedy-1', 'ExecutionCompleted'))
    expect(codes).toEqual(['payload_too_large'])
    w.cut()
  })

  it('garbage on the commands topic goes to the dead letters and stops nothing', async () => {
    const producer = await platform.context.transport.openProducer()
    const topic = `${platform.context.topicPrefix}.execution.commands`
    for (let partition = 0; partition < 4; partition++) {
      await producer.append([
        {
          topic,
          partition,
          records: [
            { key: null, headers: {}, value: Buffer.from('garbage') },
            { key: 'x', headers: { type: 'Nonsense' }, value: null },
          ],
        },
      ])
    }
    await producer.close()
    const letters = await platform.context.transport.openReader([
      { topic: deadLettersTopic(platform.context.topicPrefix), partition: 0, fromOffset: 0 },
    ])
    let found = 0
    while (found < 8) found += (await letters.next())?.records.length ?? Number.POSITIVE_INFINITY
    expect(found).toBe(8)
    await letters.close()
    const { id } = await platform.start('after-garbage', 'nobody-runs-this')
    expect((await answerTo(id)).type).toBe('ExecutionRequested')
  })

  it('a command for another tenant’s run is rejected', async () => {
    const { id } = await platform.command(`execution:other/run`, { type: 'CancelExecution', data: {} })
    expect((await answerTo(id)).data).toMatchObject({ code: 'invalid_request' })
    expect(tenant).not.toBe('other')
  })
})
