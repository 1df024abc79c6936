/** a probe asks at most so often, ms */
const everyMs = 1_000

/** @returns what is wrong; null: nothing */
export type Probe = () => Promise<string | null>

/**
 * Asks something that the gateway needs whether it is there. However many ask the probe, it asks once a second, and never anew
 * while an answer is outstanding: a dependency that hangs is not asked more and more.
 *
 * @param ask rejects, or does not answer for `timeoutMs`, when it is away
 */
export const createProbe = (
  what: string,
  ask: () => Promise<unknown>,
  { nowMs, timeoutMs }: { readonly nowMs: () => number; readonly timeoutMs: number },
): Probe => {
  let askedAt = Number.NEGATIVE_INFINITY
  let outstanding = false
  let answer: Promise<string | null> = Promise.resolve(null)

  return () => {
    if (outstanding || nowMs() - askedAt < everyMs) return answer
    askedAt = nowMs()
    outstanding = true
    const slow = Promise.withResolvers<string>()
    const timer = setTimeout(() => slow.resolve(`${what} does not answer`), timeoutMs)
    const asked = ask()
      .then(
        () => null,
        () => `${what} cannot be reached`,
      )
      .finally(() => {
        outstanding = false
        clearTimeout(timer)
      })
    answer = Promise.race([asked, slow.promise])
    return answer
  }
}
