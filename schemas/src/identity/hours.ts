import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'

/** When a tenant or an API key may be used. */

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
export const weekday = z.enum(weekdays)
export type Weekday = z.infer<typeof weekday>

const clockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'expected a time of day, as 07:30')

const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/**
 * Times of day, `to` excluded, on days of the week, by the clocks of a time zone. One that ends before it begins goes on into the
 * next day: `days` says when it begins.
 */
export const accessWindow = z
  .object({
    days: z.array(weekday).min(1).max(7),
    from: clockTime,
    to: clockTime,
    timeZone: z.string().max(64).refine(isTimeZone, 'expected a time zone, as Europe/Berlin'),
  })
  .refine(({ from, to }) => from !== to && from !== '24:00', 'from and to: expected two times of day')
export type AccessWindow = z.infer<typeof accessWindow>

/** None: at any time. */
export const accessHours = z.array(accessWindow).max(20)
export type AccessHours = z.infer<typeof accessHours>

export const hoursCommands = {
  AllowHours: v1(z.object({ hours: accessHours })),
} as const
export const hoursEvents = {
  /** when people and keys of the tenant may use it; empty: at any time */
  HoursAllowed: v1(z.object({ hours: accessHours, by: z.string().max(300) })),
} as const
export type HoursEvent = RecordOf<typeof hoursEvents>
