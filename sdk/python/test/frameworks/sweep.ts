import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '@omium/dev/testing'
import type { EventView } from '@omium/schemas'
import type { RunHandle } from '@omium/sdk'
import { expect } from 'vitest'
import { isRecord, recordedTwice, type Stage } from '../stage.ts'

/** When the worker that holds a run is killed, with SIGKILL. */
type Moment =
  /** right after so many things were recorded */
  | { records: number }
  /** so long after the model was asked for the n-th time: while it works on its answer */
  | { call: number; afterMs: number }

export interface Sweep {
  stage: Stage
  /** module:attribute of the team, and its agent id */
  target: string
  agent: string
  /** what it is given for a topic; by default the topic */
  input?(topic: string): unknown
  /** what has to be the same in every run, with its topic in it */
  answer(output: unknown): unknown
  /** names of its steps */
  steps: readonly string[]
  /** of the random instants */
  seed: number
  instants: number
}

/** Model calls of a run in progress, by the model server's own account. */
const callsSince = (stage: Stage, from: number, event: 'received' | 'answered') =>
  stage
    .modelCalls()
    .slice(from)
    .filter((call) => call.event === event)

/**
 * Runs a team undisturbed, then once for each of its records and for some random instants within its model calls; each time
 * its worker is killed there. By the logs of the model server and of the shop no recorded call is made again, the order is
 * placed once, and the answer is that of the undisturbed run.
 */
export const survivesEveryKill = async ({
  stage,
  target,
  agent,
  input = (topic) => topic,
  answer,
  steps,
  seed,
  instants,
}: Sweep): Promise<void> => {
  const spares = new Set<Promise<unknown>>()
  const replace = (): void => {
    const spare = stage.startWorker(target).finally(() => spares.delete(spare))
    spares.add(spare)
  }
  // starting one takes longer than a run: the next ones start while runs go on
  for (let i = 0; i < 3; i++) replace()
  await Promise.all(spares)

  const calm = await stage.start(agent, input('calm'), `${agent}-calm`)
  const expected = JSON.stringify(answer(await calm.result({ timeoutMs: 60_000 })))
  expect(expected).toContain('ordered calm')
  const made = await calm.steps()
  expect(made.map(({ name }) => name).sort()).toEqual([...steps].sort())
  expect(made.every(({ kind, inputTokens }) => kind === 'tool' || (inputTokens ?? 0) > 0)).toBe(true)
  let records = 0
  for await (const event of calm.events()) if (isRecord(event)) records += 1
  expect(records).toBeGreaterThan(steps.length)
  const calls = callsSince(stage, 0, 'answered').length

  const moments: Moment[] = Array.from({ length: records }, (_, index) => ({ records: index + 1 }))
  let state = seed
  for (let i = 0; i < instants; i++) {
    // a linear congruential generator, Numerical Recipes' constants
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    moments.push({ call: 1 + (state % calls), afterMs: (state >>> 8) % 45 })
  }

  let inFlight = 0
  for (const [index, moment] of moments.entries()) {
    await eventually(() => stage.workers.size >= 2, { timeoutMs: 120_000 })
    const topic = `topic-${index}`
    const what = `${topic}, killed at ${JSON.stringify(moment)} of seed ${seed}`
    const from = stage.modelCalls().length
    const run = await stage.start(agent, input(topic), `${agent}-kill-${index}`)
    const events = await followAndKill(stage, run, moment, from, topic, replace)
    expect(JSON.stringify(answer(await run.result({ timeoutMs: 60_000 }))), what).toBe(
      expected.replaceAll('calm', topic),
    )
    expect(recordedTwice(events), what).toEqual([])
    expect(stage.told(topic).length, `${what}: the effect happened once`).toBe(1)

    const lost = events.findIndex(({ type }) => type === 'AttemptLost')
    const recorded = events
      .slice(0, lost)
      .filter(({ type, data }) => type === 'StepCompleted' && (data as { kind: string }).kind === 'llm').length
    const answered = callsSince(stage, from, 'answered').map(({ requestHash }) => requestHash)
    expect(new Set(answered).size, what).toBe(calls)
    // an answer that was on its way is asked for again; one that was recorded never is
    expect(answered.length - calls, `${what}: repeated only what was not recorded`).toBeLessThanOrEqual(
      calls - recorded,
    )
    if (answered.length > calls || callsSince(stage, from, 'received').length > calls) inFlight += 1
  }
  expect(inFlight, 'some of the kills hit a model call in flight').toBeGreaterThan(0)
  await Promise.allSettled(spares)
}

/** Process ids of what descends from a process now. */
const processesBelow = (pid: string): string[] => {
  try {
    const children = readdirSync(`/proc/${pid}/task`)
      .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' '))
      .filter(Boolean)
    return children.flatMap((child) => [child, ...processesBelow(child)])
  } catch {
    // it has ended
    return []
  }
}

/** Follows a run to its end, kills the worker that holds it at the moment, and has another take its place. */
const followAndKill = async (
  stage: Stage,
  run: RunHandle<unknown>,
  moment: Moment,
  from: number,
  topic: string,
  replace: () => void,
): Promise<EventView[]> => {
  let holder = ''
  let killed = false
  let left: string[] = []
  const kill = async (): Promise<void> => {
    if (killed) return
    killed = true
    const worker = stage.workers.get(holder)
    left = worker ? processesBelow(String(worker.pid)) : []
    await worker?.kill('SIGKILL')
    stage.workers.delete(holder)
    replace()
  }
  const over = new AbortController()
  const killing =
    'call' in moment
      ? eventually(() => over.signal.aborted || callsSince(stage, from, 'received').length >= moment.call, {
          timeoutMs: 60_000,
          intervalMs: 3,
        })
          .then(() => delay(moment.afterMs))
          .then(() => eventually(() => holder !== '' || over.signal.aborted))
          .then(kill)
      : undefined
  const events: EventView[] = []
  for await (const event of run.events()) {
    events.push(event)
    if (event.type === 'ExecutionStarted') holder = (event.data as { workerId: string }).workerId
    if ('records' in moment && events.filter(isRecord).length >= moment.records) await kill()
    // what became of an effect in doubt is looked up by a person: here in the log of the shop
    if (event.type === 'StepOutcomeUnknown') {
      const { path, idempotencyKey } = event.data as { path: string; idempotencyKey: string }
      // the process of the lost attempt ends with its worker, but a moment later: until then the effect may still happen
      await eventually(() => left.every((pid) => !existsSync(`/proc/${pid}/exe`)), { timeoutMs: 30_000 })
      const happened = stage.told(topic).some(({ effect }) => effect === idempotencyKey)
      await run.resolve(path, happened ? { status: 'completed', output: `ordered ${topic}` } : { status: 'retry' })
    }
  }
  over.abort()
  await killing
  expect(killed, 'a worker was killed').toBe(true)
  return events
}
