/**
 * When a signing key signs and for how long it is believed.
 *
 * 1. A key is published a while before it signs, so that whoever keeps the published keys has it by then.
 * 2. A key is believed for as long as anything that it signed may live.
 * 3. There is always exactly one key that signs; which one depends on the clock and the keys alone, so gateways agree.
 */
export interface KeyTimes {
  /** ms */
  readonly signsFrom: number
  readonly signsUntil: number
}

const dayMs = 86_400_000
export const signsForMs = 30 * dayMs
export const publishedAheadMs = dayMs
/** longer than any access token lives, clocks included */
export const believedAfterMs = 3_600_000

/** The key that signs now: the one that began last. */
export const signingKey = <K extends KeyTimes>(keys: readonly K[], nowMs: number): K | undefined =>
  keys
    .filter(({ signsFrom, signsUntil }) => signsFrom <= nowMs && nowMs < signsUntil)
    .sort((a, b) => b.signsFrom - a.signsFrom)[0]

export const isBelieved = ({ signsUntil }: KeyTimes, nowMs: number): boolean => nowMs < signsUntil + believedAfterMs

/** The times of the key that has to be made now, if one has to. */
export const dueKey = (keys: readonly KeyTimes[], nowMs: number): KeyTimes | undefined => {
  const last = Math.max(0, ...keys.map(({ signsUntil }) => signsUntil))
  if (last - nowMs > publishedAheadMs) return undefined
  const signsFrom = Math.max(last, nowMs)
  return { signsFrom, signsUntil: signsFrom + signsForMs }
}
