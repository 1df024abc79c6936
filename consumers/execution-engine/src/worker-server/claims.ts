/**
 * How many messages of a frame draw on the budget of their run: children that are asked for, and reserves of calls. A worker
 * puts what its code asks for at one time into one frame, so these are the requests among which what is left is shared out.
 */

interface Drawing {
  readonly type?: unknown
  readonly executionId?: unknown
  readonly intent?: { readonly reserveMicroCredits?: unknown } | undefined
}

const draws = ({ type, intent }: Drawing): boolean =>
  type === 'child_start' || (type === 'step_started' && Number(intent?.reserveMicroCredits ?? 0) > 0)

const isChild = (message: unknown): boolean => (message as Drawing | null)?.type === 'child_start'

/**
 * For each message how many of its run draw, from this one on.
 * @param frame as it came, not checked yet
 * @returns null when no child is asked for, and nothing is to be shared
 */
export const claimsOn = (frame: readonly unknown[]): number[] | null => {
  if (!frame.some(isChild)) return null
  const claims: number[] = new Array(frame.length)
  const byRun = new Map<unknown, number>()
  for (let i = frame.length - 1; i >= 0; i--) {
    const message = (frame[i] ?? {}) as Drawing
    const later = byRun.get(message.executionId) ?? 0
    claims[i] = draws(message) ? later + 1 : later
    byRun.set(message.executionId, claims[i] as number)
  }
  return claims
}
