import { describe, expect, it } from 'vitest'
import { checkCron, momentsBetween, nextMoment } from './cron.ts'

const at = (text: string) => Date.parse(text)
const list = (cron: string, timezone: string, from: string, n: number) => {
  const moments: string[] = []
  let after: number | undefined = at(from)
  for (let i = 0; i < n && after !== undefined; i++) {
    after = nextMoment({ cron, timezone }, after)
    if (after !== undefined) moments.push(new Date(after).toISOString())
  }
  return moments
}

describe('moments of a cron expression', () => {
  it('follow the time zone over both changes of the clocks, each day once', () => {
    expect(list('30 2 * * *', 'Europe/Berlin', '2026-03-27T12:00:00Z', 3)).toEqual([
      '2026-03-28T01:30:00.000Z',
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ])
    expect(list('30 2 * * *', 'Europe/Berlin', '2026-10-23T12:00:00Z', 3)).toEqual([
      '2026-10-24T00:30:00.000Z',
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ])
  })

  it('take seconds as a sixth field', () => {
    expect(list('*/20 * * * * *', 'UTC', '2026-01-01T00:00:00Z', 3).map((t) => t.slice(17, 19))).toEqual([
      '20',
      '40',
      '00',
    ])
  })

  it('between two times are counted, and the newest are given', () => {
    const between = momentsBetween(
      { cron: '* * * * *', timezone: 'UTC' },
      at('2026-01-01T00:00:00Z'),
      at('2026-01-01T01:00:30Z'),
      2,
    )
    expect(between.count).toBe(60)
    expect(between.newest.map((t) => new Date(t).toISOString().slice(11, 16))).toEqual(['00:59', '01:00'])
    expect(between.first).toBe(at('2026-01-01T00:01:00Z'))
  })

  it('are bounded after a very long absence, and still the newest', () => {
    const end = at('2027-01-01T00:00:00Z')
    const begin = at('2026-01-01T00:00:00Z')
    const seconds = momentsBetween({ cron: '* * * * * *', timezone: 'Europe/Berlin' }, begin, end, 3)
    expect(seconds.newest).toEqual([end - 2000, end - 1000, end])
    // reckoned: a year has so many
    expect(seconds.count / (365 * 86_400)).toBeCloseTo(1, 3)
    // busy for an hour, then quiet for months: the newest are where it was busy
    const january = momentsBetween({ cron: '* * 0 1 1 *', timezone: 'UTC' }, begin, end - 1000, 2, 100)
    expect(january.newest).toEqual([begin + 3_598_000, begin + 3_599_000])
  })

  it('are refused with what is wrong', () => {
    const check =
      (cron: string, timezone = 'UTC') =>
      () =>
        checkCron({ cron, timezone }, 0)
    expect(check('99 * * * *')).toThrow(/Invalid value for minute: 99/)
    expect(check('daily')).toThrow(/five fields/)
    expect(check('0 0 30 2 *')).toThrow(/no moment ever fits/)
    expect(check('* * * * *', 'Mars/Olympus')).toThrow(/Mars\/Olympus is no IANA time zone/)
  })
})
