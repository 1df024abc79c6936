import { type AccessHours, accessHours } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { inHours } from './hours.ts'

const at = (text: string) => Date.parse(text)
const office: AccessHours = [{ days: ['mon', 'fri'], from: '09:00', to: '17:30', timeZone: 'Europe/Berlin' }]
const nights: AccessHours = [{ days: ['fri'], from: '22:00', to: '06:00', timeZone: 'UTC' }]

describe('access hours', () => {
  it('that nobody set are always', () => expect(inHours([], 0)).toBe(true))
  it.each([
    // a Monday in winter: Berlin is an hour ahead
    ['2026-01-05T08:00:00Z', true],
    ['2026-01-05T07:59:59Z', false],
    ['2026-01-05T16:29:59Z', true],
    ['2026-01-05T16:30:00Z', false],
    ['2026-01-06T10:00:00Z', false],
    // and in summer two
    ['2026-07-06T07:00:00Z', true],
    ['2026-07-06T15:30:00Z', false],
  ])('go by the clocks of their time zone: %s', (moment, open) => expect(inHours(office, at(moment))).toBe(open))
  it.each([
    ['2026-01-09T21:59:00Z', false],
    ['2026-01-09T22:00:00Z', true],
    ['2026-01-10T05:59:00Z', true],
    ['2026-01-10T06:00:00Z', false],
    ['2026-01-10T23:00:00Z', false],
    ['2026-01-09T05:00:00Z', false],
  ])('may go on into the next day: %s', (moment, open) => expect(inHours(nights, at(moment))).toBe(open))
  it('are open if one of them is', () => {
    expect(inHours([...office, ...nights], at('2026-01-10T01:00:00Z'))).toBe(true)
  })
  it('reach the end of a day, and the day of somewhere else', () => {
    const evening: AccessHours = [{ days: ['sat'], from: '20:00', to: '24:00', timeZone: 'Asia/Tokyo' }]
    expect(inHours(evening, at('2026-01-10T14:59:59Z'))).toBe(true)
    expect(inHours(evening, at('2026-01-10T15:00:00Z'))).toBe(false)
  })
  it.each([
    [{ from: '9:00' }],
    [{ from: '25:00' }],
    [{ to: '09:00' }],
    [{ from: '24:00' }],
    [{ timeZone: 'Mars/Olympus' }],
    [{ days: [] }],
    [{ days: ['holiday'] }],
  ])('are times of day on days of the week in time zones: not %j', (change) => {
    expect(accessHours.safeParse([{ ...office[0], ...change }]).success).toBe(false)
  })
})
