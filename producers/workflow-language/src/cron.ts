import { OmiumError } from '@omium/schemas'
import { Cron } from 'croner'

/**
 * Moments of a cron expression in a time zone, to the second. When clocks go forward, a time that does not exist is moved
 * to the next that does; when they go back, a fixed time that exists twice counts once.
 */

const compiled = new Map<string, Cron>()
const mostCompiled = 5000

/** @throws OmiumError `schedule_invalid` */
const cronOf = (expression: string, timezone: string): Cron => {
  const key = `${timezone} ${expression}`
  const known = compiled.get(key)
  if (known) return known
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone })
  } catch (cause) {
    throw new OmiumError('schedule_invalid', `timezone: ${timezone} is no IANA time zone, e.g. Europe/Berlin`, {
      cause,
    })
  }
  let cron: Cron
  try {
    if (![5, 6].includes(expression.trim().split(/\s+/).length))
      throw new RangeError('five fields (minute hour day month weekday) or six (seconds first) are expected')
    cron = new Cron(expression.trim(), { timezone, paused: true })
  } catch (cause) {
    const said = (cause as Error).message.replace(/^CronPattern: /, '')
    throw new OmiumError('schedule_invalid', `cron: ${JSON.stringify(expression)} cannot be used: ${said}`, { cause })
  }
  compiled.set(key, cron)
  if (compiled.size > mostCompiled) compiled.delete(compiled.keys().next().value as string)
  return cron
}

/**
 * The first moment after `after`, ms since the epoch; undefined when there is none.
 * @throws OmiumError `schedule_invalid`
 */
export const nextMoment = (cron: { cron: string; timezone: string }, after: number): number | undefined =>
  cronOf(cron.cron, cron.timezone).nextRun(new Date(after))?.getTime()

/** @throws OmiumError `schedule_invalid` when it cannot be used, or no moment ever fits */
export const checkCron = (cron: { cron: string; timezone: string }, nowMs: number): void => {
  if (nextMoment(cron, nowMs) !== undefined) return
  throw new OmiumError('schedule_invalid', `cron: no moment ever fits ${JSON.stringify(cron.cron)}`)
}

/**
 * The moments after `after` up to `upto`: how many there are, and the newest `most` of them. After a long absence, when there
 * are more than `bound`, those in between are not looked at one by one (each takes a fraction of a millisecond, and all
 * schedules of a process are looked at when it starts): then the count is reckoned from how close the first ones are.
 */
export const momentsBetween = (
  cron: { cron: string; timezone: string },
  after: number,
  upto: number,
  most: number,
  bound = 500,
): { readonly count: number; readonly first: number | undefined; readonly newest: readonly number[] } => {
  const newest: number[] = []
  let count = 0
  let first: number | undefined
  let leapt = false
  for (let at = nextMoment(cron, after); at !== undefined && at <= upto; at = nextMoment(cron, at)) {
    first ??= at
    count++
    newest.push(at)
    if (newest.length > most) newest.shift()
    if (count < bound || leapt) continue
    leapt = true
    // moments are only ever taken from going forward, so that each has one time whichever way it was found
    const earliest =
      cronOf(cron.cron, cron.timezone)
        .previousRuns(most + 1, new Date(upto))
        .at(-1)
        ?.getTime() ?? at
    if (earliest - 1 <= at) continue
    count += Math.floor((earliest - 1 - at) / ((at - first) / (count - 1)))
    at = earliest - 1
    newest.length = 0
  }
  return { count, first, newest }
}
