import { type AccessHours, type Weekday, weekdays } from '@omium/schemas'

const clocks = new Map<string, Intl.DateTimeFormat>()
/** a time zone has many spellings */
const mostClocks = 1_000

/** What clocks and calendars of a time zone show. */
const shownIn = (timeZone: string, atMs: number): { day: Weekday; time: string } => {
  let clock = clocks.get(timeZone)
  if (!clock) {
    const fields = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const
    clock = new Intl.DateTimeFormat('en-GB', { timeZone, ...fields })
    clocks.set(timeZone, clock)
    if (clocks.size > mostClocks) clocks.delete(clocks.keys().next().value as string)
  }
  const parts = Object.fromEntries(clock.formatToParts(atMs).map(({ type, value }) => [type, value]))
  return { day: String(parts['weekday']).toLowerCase() as Weekday, time: `${parts['hour']}:${parts['minute']}` }
}

const dayBefore = (day: Weekday): Weekday => weekdays[(weekdays.indexOf(day) + 6) % 7] as Weekday

/** Whether a moment is in one of the windows; no windows: any is. */
export const inHours = (hours: AccessHours, atMs: number): boolean =>
  hours.length === 0 ||
  hours.some(({ days, from, to, timeZone }) => {
    const { day, time } = shownIn(timeZone, atMs)
    if (from < to) return days.includes(day) && from <= time && time < to
    return (days.includes(day) && from <= time) || (days.includes(dayBefore(day)) && time < to)
  })
