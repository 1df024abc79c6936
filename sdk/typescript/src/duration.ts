const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

/** Milliseconds, or a number with a unit: `'250ms'`, `'30s'`, `'5m'`, `'2h'`, `'3d'`, `'1w'`. */
export type Duration = number | `${number}${keyof typeof unitMs}`

/**
 * Whole milliseconds of a duration, rounded up.
 * @throws TypeError when it is negative, not finite or has no known unit
 */
export const durationToMs = (duration: Duration): number => {
  const match = typeof duration === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(duration) : null
  const ms = match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : Number(duration)
  if (!Number.isFinite(ms) || ms < 0)
    throw new TypeError(
      `${JSON.stringify(duration)} is not a duration: give milliseconds or a text such as '30s' or '3d'`,
    )
  return Math.ceil(ms)
}
