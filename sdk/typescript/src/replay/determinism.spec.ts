import type { JournalEntry, OmiumError, WorkerMessage } from '@omium/schemas'
import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { agent } from '../agent.ts'
import type { AnyAgent, Context } from '../context.ts'
import { defaultPrices } from '../llm/prices.ts'
import type { PendingCall, RunPort } from './port.ts'
import { Run } from './run.ts'
import { StepWatch } from './step-watch.ts'
import { Turns } from './turns.ts'

/** A random program of nested branches over steps and timers. */
type Program =
  | { type: 'step'; name: string; fails: boolean }
  | { type: 'timer' }
  | { type: 'seq' | 'all' | 'race' | 'settled'; parts: Program[] }

const program: fc.Arbitrary<Program> = fc.letrec<{ program: Program }>((tie) => ({
  program: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({ type: fc.constant('step' as const), name: fc.constantFrom('a', 'b', 'c'), fails: fc.boolean() }),
    fc.constant({ type: 'timer' as const }),
    fc.record({
      type: fc.constantFrom('seq' as const, 'all' as const, 'race' as const, 'settled' as const),
      parts: fc.array(tie('program'), { minLength: 1, maxLength: 4 }),
    }),
  ),
})).program

const log = pino({ level: 'silent' })
const macrotask = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Everything that user code did and saw, in order. */
class TracedRun extends Run {
  readonly trace: string[] = []
  override ask(call: PendingCall) {
    this.trace.push(`ask ${call.path} ${call.requestHash}`)
    return super.ask(call)
  }
}

const interpreter = (
  whole: Program,
  trace: (text: string) => void,
  stepFn: (name: string, fails: boolean) => () => unknown,
) => {
  const run = async (part: Program, ctx: Context): Promise<unknown> => {
    switch (part.type) {
      case 'step': {
        const { name, fails } = part
        const got = await ctx.step(name, stepFn(name, fails), { retry: false }).catch((error: OmiumError) => error.code)
        trace(`got ${name} ${JSON.stringify(got)}`)
        return got
      }
      case 'timer':
        await ctx.sleep(1000)
        trace('slept')
        return null
      case 'seq': {
        let last: unknown = null
        for (const inner of part.parts) last = await run(inner, ctx)
        return last
      }
      case 'all':
        return Promise.all(part.parts.map((inner) => run(inner, ctx)))
      case 'race':
        return Promise.race(part.parts.map((inner) => run(inner, ctx)))
      case 'settled':
        return (await Promise.allSettled(part.parts.map((inner) => run(inner, ctx)))).length
    }
  }
  return agent({ id: 'program', input: z.null(), run: async (_, ctx) => (await run(whole, ctx)) ?? null }) as AnyAgent
}

interface Ended {
  trace: string[]
  /** settled entries in the order of their settlement */
  journal: JournalEntry[]
  output: unknown
  error: unknown
  /** timers that had not fired */
  open: JournalEntry[]
  /** paths whose function ran or whose timer was started */
  done: string[]
}

/** Runs the program over a journal, settling what it starts in an order that `choices` decide. */
const drive = async (whole: Program, journal: readonly JournalEntry[], choices: readonly number[]): Promise<Ended> => {
  const inbox: WorkerMessage[] = []
  const running: (() => void)[] = []
  const timers: { path: string; requestHash: string }[] = []
  const isSettled = ({ status }: JournalEntry) => status === 'completed' || status === 'failed'
  const settled: JournalEntry[] = journal.filter(isSettled)
  const done: string[] = []
  const turns = new Turns()
  let results = 0
  const port: RunPort = {
    send: (message) => inbox.push(message),
    schedule: (run) => turns.schedule(run),
    finished: () => {},
    waiting: () => {},
    now: () => 0,
    after: (_, callback) => {
      const timer = setTimeout(callback, 5)
      return () => clearTimeout(timer)
    },
    uuid: () => 'uuid',
    random: () => 0,
    watch: new StepWatch(() => 0),
    log,
    llm: { complete: () => Promise.reject(new Error('no model here')), prices: defaultPrices },
  }
  const stepFn = (name: string, fails: boolean) => () =>
    new Promise((resolve, reject) => {
      running.push(() => (fails ? reject(new Error(name)) : resolve(`${name}${results++}`)))
    })
  const subject = interpreter(whole, (text) => run.trace.push(text), stepFn)
  const ids = { executionId: 'run', attempt: 1 }
  const run = new TracedRun(
    { type: 'assign', ...ids, agentId: 'program', input: null, journalEntries: journal.length },
    subject,
    port,
  )
  run.receive({ type: 'journal', ...ids, entries: [...journal], last: true })
  let draw = 0
  const pick = (count: number) => (choices[draw++ % choices.length] ?? 0) % count
  const ended: Ended = { trace: run.trace, journal: settled, output: undefined, error: undefined, open: [], done }
  const handle = (message: WorkerMessage): void => {
    switch (message.type) {
      case 'step_completed':
      case 'step_failed': {
        const { path, kind, requestHash, seq } = message
        const entry: JournalEntry =
          message.type === 'step_completed'
            ? { path, kind, requestHash, status: 'completed', value: message.output }
            : { path, kind, requestHash, status: 'failed', error: message.error }
        done.push(path)
        settled.push(entry)
        run.receive({ type: 'ack', ...ids, seq, ...(message.type === 'step_failed' && { entry }) })
        return
      }
      case 'timer_start':
        timers.push({ path: message.path, requestHash: message.requestHash })
        done.push(message.path)
        run.receive({ type: 'ack', ...ids, seq: message.seq })
        return
      case 'complete':
        ended.output = message.output
        run.receive({ type: 'ack', ...ids, seq: message.seq })
        return
      case 'fail':
        ended.error = message.error
        run.receive({ type: 'ack', ...ids, seq: message.seq })
        return
      default:
    }
  }
  for (let rounds = 0; !run.over; rounds++) {
    if (rounds > 5000) throw new Error(`the program came to no end: ${run.trace.join(', ')}`)
    const options = running.length + timers.length + (inbox.length > 0 ? 1 : 0)
    const choice = pick(options + 1)
    if (choice < running.length) running.splice(choice, 1)[0]?.()
    else if (choice < running.length + timers.length) {
      const [timer] = timers.splice(choice - running.length, 1)
      if (timer) {
        const entry: JournalEntry = { ...timer, kind: 'timer', status: 'completed', value: null }
        settled.push(entry)
        run.receive({ type: 'resolve', ...ids, entry })
      }
    } else if (choice < options) {
      const message = inbox.shift()
      if (message) handle(message)
    } else await macrotask()
  }
  ended.open = timers.map((timer) => ({ ...timer, kind: 'timer', status: 'pending' }))
  return ended
}

/** The part of a trace up to and including the reaction to the first `results` results. */
const untilResult = (trace: readonly string[], results: number): string[] => {
  let seen = 0
  const upTo = trace.findIndex((text) => !text.startsWith('ask ') && ++seen > results)
  return upTo < 0 ? [...trace] : trace.slice(0, upTo)
}

const choices = fc.array(fc.nat(1000), { minLength: 20, maxLength: 60 })

describe('replay', () => {
  it('makes the same requests in the same order from any prefix of any interleaving', async () => {
    await fc.assert(
      fc.asyncProperty(program, choices, choices, fc.nat(), async (whole, first, second, cut) => {
        const live = await drive(whole, [], first)
        expect(live.error).toBeUndefined()
        const prefix = live.journal.slice(0, cut % (live.journal.length + 1))
        const replayed = await drive(whole, prefix, second)
        expect(replayed.error).toBeUndefined()
        // nothing recorded is done again
        const recorded = new Set(prefix.map(({ path }) => path))
        expect(replayed.done.filter((path) => recorded.has(path))).toEqual([])
        // what user code saw and asked for is the same as far as the record goes
        const shared = Math.min(
          prefix.length,
          live.trace.filter((text) => !text.startsWith('ask ')).length,
          replayed.trace.filter((text) => !text.startsWith('ask ')).length,
        )
        expect(untilResult(replayed.trace, shared)).toEqual(untilResult(live.trace, shared))
        // and with the whole record, to the end
        const whole2 = await drive(whole, [...live.journal, ...live.open], second)
        expect(whole2.trace).toEqual(live.trace)
        expect(whole2.output).toEqual(live.output)
        const known = new Set([...live.journal, ...live.open].map(({ path }) => path))
        expect(whole2.done.filter((path) => known.has(path))).toEqual([])
      }),
      { numRuns: 300 },
    )
  }, 60_000)

  it('does nothing when the next recorded result is not asked for', async () => {
    const recorded: JournalEntry = { path: 'x#1', kind: 'step', requestHash: 'h', status: 'completed', value: 1 }
    const ended = await drive(
      { type: 'all', parts: [{ type: 'step', name: 'a', fails: false }] },
      [recorded],
      [7, 2, 1],
    )
    expect(ended.error).toMatchObject({ code: 'replay_mismatch', data: { path: 'x#1', actual: { path: 'a#1' } } })
    expect(ended.done).toEqual([])
  })
})
