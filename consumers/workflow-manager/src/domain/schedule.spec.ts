import type { ScheduleEvent, ScheduleSpec } from '@omium/schemas'
import { momentsBetween } from '@omium/workflow-language'
import { describe, expect, it } from 'vitest'
import { owedBySchedule } from './owed.ts'
import { decideSchedule, evolveSchedule, passTime, type ScheduleState, scheduledRunId } from './schedule.ts'

const minute = 60_000
const start = Date.UTC(2026, 0, 1)
const at = (n: number) => start + n * minute
const identity = { tenant: 't', id: 'daily', correlationId: 'c' }

const spec = (more: object = {}): ScheduleSpec => ({
  workflow: 'report',
  cron: '* * * * *',
  timezone: 'UTC',
  parameters: { inline: {} },
  overlap: 'allow',
  catchUp: { policy: 'none', limit: 5, graceMs: 10_000 },
  ...more,
})

const fold = (events: readonly ScheduleEvent[], state?: ScheduleState): ScheduleState => {
  let folded = state
  for (const event of events) folded = evolveSchedule(folded, event, identity)
  if (!folded) throw new RangeError('no events')
  return folded
}
const put = (more: object = {}): ScheduleEvent => ({
  type: 'SchedulePut',
  data: { scheduleId: 'daily', spec: spec(more), from: start, by: 'key:1' },
})
const runId = (n: number) => scheduledRunId(spec(), 'daily', at(n))
const fired = (n: number): ScheduleEvent => ({
  type: 'ScheduleFired',
  data: { nominalAt: at(n), runId: runId(n), late: false },
})
const ended = (n: number): ScheduleEvent => ({
  type: 'ScheduledRunEnded',
  data: { runId: runId(n), end: { status: 'completed' } },
})
/** what becomes of the minutes, as `fired 1`, `skipped 1-3 missed` */
const pass = (given: readonly ScheduleEvent[], now: number) =>
  passTime(fold(given), now, momentsBetween).map(({ type, data }) => {
    const n = (ms: number) => (ms - start) / minute
    if (type === 'ScheduleFired') return `fired ${n(data.nominalAt)}${data.late ? ' late' : ''}`
    if (type === 'ScheduleQueued') return `queued ${n(data.nominalAt)}`
    if (type === 'ScheduleSkipped') return `skipped ${data.count} from ${n(data.from)}: ${data.reason}`
    return type
  })

describe('time passes', () => {
  it('nothing happens before the moment, and the moment happens once', () => {
    expect(pass([put()], at(1) - 1)).toEqual([])
    expect(pass([put()], at(1))).toEqual(['fired 1'])
    expect(pass([put(), fired(1)], at(1) + 500)).toEqual([])
  })

  it('what was missed is skipped, or the last is run, or all within the limit', () => {
    const now = at(8) + 30_000
    expect(pass([put()], now)).toEqual(['skipped 8 from 1: missed'])
    const last = { catchUp: { policy: 'last', limit: 5, graceMs: 10_000 } }
    expect(pass([put(last)], now)).toEqual(['skipped 7 from 1: missed', 'fired 8 late'])
    const all = { catchUp: { policy: 'all', limit: 5, graceMs: 10_000 } }
    expect(pass([put(all)], now)).toEqual([
      'skipped 3 from 1: missed',
      'fired 4 late',
      'fired 5 late',
      'fired 6 late',
      'fired 7 late',
      'fired 8 late',
    ])
  })

  it('every moment is dealt with once, however the time is cut', () => {
    for (const policy of ['none', 'last', 'all']) {
      let state = fold([put({ catchUp: { policy, limit: 3, graceMs: 0 } })])
      let dealtWith = 0
      for (const now of [at(1), at(4) + 1, at(4) + 2, at(11), at(12)]) {
        const events = passTime(state, now, momentsBetween)
        for (const { type, data } of events) dealtWith += type === 'ScheduleSkipped' ? data.count : 1
        state = fold(events, state)
      }
      expect(dealtWith, policy).toBe(12)
    }
  })

  it('with a run under way: skipped, queued, run beside it, or in its place', () => {
    const busy = (overlap: string) => [put({ overlap }), fired(1)]
    expect(pass(busy('skip'), at(2))).toEqual(['skipped 1 from 2: overlap'])
    expect(pass(busy('queue'), at(2))).toEqual(['queued 2'])
    expect(pass(busy('allow'), at(2))).toEqual(['fired 2'])
    expect(pass(busy('cancel_previous'), at(2))).toEqual(['fired 2'])
    const state = fold([...busy('cancel_previous'), fired(2)])
    expect(state.runs[runId(1)]?.superseded).toBe(true)
    expect(state.runs[runId(2)]?.superseded).toBe(false)
  })

  it('nothing happens while it is paused, deleted, before its start and after its end', () => {
    expect(pass([put(), { type: 'SchedulePaused', data: { by: 'x' } }], at(3))).toEqual([])
    expect(pass([put(), { type: 'ScheduleDeleted', data: { by: 'x' } }], at(3))).toEqual([])
    expect(pass([put({ startAt: at(3), overlap: 'allow' })], at(3))).toEqual(['fired 3'])
    expect(pass([put({ endAt: at(2), catchUp: { policy: 'all', limit: 5, graceMs: 0 } })], at(9))).toEqual([
      'fired 1 late',
      'fired 2 late',
    ])
  })
})

describe('commands', () => {
  const decide = (state: ScheduleState | undefined, command: Parameters<typeof decideSchedule>[1]) =>
    decideSchedule(state, command, 'daily', 'key:1', at(9))

  it('the same schedule again changes nothing; what passed while it was paused is not caught up', () => {
    const state = fold([put()])
    expect(decide(state, { type: 'PutSchedule', data: { scheduleId: 'daily', spec: spec() } })).toMatchObject({
      events: [],
    })
    const paused = fold([{ type: 'SchedulePaused', data: { by: 'x' } }], state)
    const resumed = decide(paused, { type: 'ResumeSchedule', data: {} })
    expect(resumed).toMatchObject({ events: [{ type: 'ScheduleResumed', data: { from: at(9) } }] })
    expect(decide(undefined, { type: 'PauseSchedule', data: {} })).toMatchObject({ code: 'schedule_unknown' })
  })

  it('the end of a run lets the next in the queue go, and counts once', () => {
    const queued: ScheduleEvent = { type: 'ScheduleQueued', data: { nominalAt: at(2), late: false } }
    const state = fold([put({ overlap: 'queue' }), fired(1), queued])
    const report = { type: 'ReportScheduledRun', data: { runId: runId(1), end: { status: 'failed' } } } as const
    const decision = decide(state, report)
    expect(decision).toMatchObject({
      events: [{ type: 'ScheduledRunEnded' }, { type: 'ScheduleFired', data: { nominalAt: at(2) } }],
    })
    const after = fold(decision.status === 'decided' ? decision.events : [], state)
    expect(after.queue).toEqual([])
    expect(decide(after, report)).toMatchObject({ events: [] })
  })
})

describe('what a schedule owes', () => {
  it('is the run of each firing, until it is on the log, with an id made of the moment', () => {
    const state = fold([put(), fired(1), fired(2)])
    const owed = owedBySchedule(state)
    expect(owed.map(({ id }) => id)).toEqual(owedBySchedule(fold([put(), fired(1), fired(2)])).map(({ id }) => id))
    expect(owed).toMatchObject([
      { to: { type: 'workflow', id: 'report' }, command: { type: 'RunWorkflow', data: { runId: runId(1) } } },
      { command: { data: { runId: runId(2) } } },
    ])
    const requested = fold([{ type: 'ScheduledRunRequested', data: { runId: runId(1) } }], state)
    expect(owedBySchedule(requested)).toHaveLength(1)
    expect(owedBySchedule(fold([ended(1), ended(2)], requested))).toEqual([])
  })
})
