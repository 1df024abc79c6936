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
 * The moments after `after` up to `upto`: how many there are, and the newest `most` of them. Counting stops at `bound`.
 */
export const momentsBetween = (
  cron: { cron: string; timezone: string },
  after: number,
  upto: number,
  most: number,
  bound = 10_000,
): { readonly count: number; readonly first: number | undefined; readonly newest: readonly number[] } => {
  const newest: number[] = []
  let count = 0
  let first: number | undefined
  for (let at = nextMoment(cron, after); at !== undefined && at <= upto; at = nextMoment(cron, at)) {
    first ??= at
    count++
    newest.push(at)
    if (newest.length > most) newest.shift()
    if (count >= bound) {
      // after a very long absence only the last stretch matters
      const late = nextMoment(cron, Math.max(at, upto - 3_600_000))
      if (late === undefined || late > upto) break
      at = Math.max(at, late - 1)
    }
    if (count >= 2 * bound) break
  }
  return { count, first, newest }
}
