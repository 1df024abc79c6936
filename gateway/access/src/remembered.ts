/**
 * Answers of the database, remembered for a few seconds. While the database is away, an answer that is some minutes old is
 * still good: what is asked for goes to the log, which may well be there.
 */
export interface Remembered<T> {
  get(name: string): Promise<T>
  /** what was remembered may not be so any more */
  forget(name: string): void
  /** the same for every one that fits */
  forgetWhere(fits: (name: string, value: T | undefined) => boolean): void
}

interface Answer<T> {
  readonly value: T
  /** ms */
  readonly at: number
}

interface Entry<T> {
  readonly answer: Promise<Answer<T>>
  readonly until: number
  /** the newest answer that came */
  last: Answer<T> | undefined
}

const mostRemembered = 10_000

export interface RememberOptions<T> {
  readonly ask: (name: string) => Promise<T>
  /** whether an old answer may stand in while the database is away */
  readonly outlasts: (value: T) => boolean
  readonly nowMs: () => number
  readonly cacheMs: number
  readonly outageMs: number
}

export const remember = <T>({ ask, outlasts, nowMs, cacheMs, outageMs }: RememberOptions<T>): Remembered<T> => {
  const entries = new Map<string, Entry<T>>()

  const answer = async (name: string, last: Answer<T> | undefined): Promise<Answer<T>> => {
    try {
      return { value: await ask(name), at: nowMs() }
    } catch (error) {
      if (last && outlasts(last.value) && nowMs() - last.at < outageMs) return last
      throw error
    }
  }
  return {
    get: async (name) => {
      const known = entries.get(name)
      if (known && known.until > nowMs()) return (await known.answer).value
      const entry: Entry<T> = { answer: answer(name, known?.last), until: nowMs() + cacheMs, last: known?.last }
      entries.delete(name)
      entries.set(name, entry)
      if (entries.size > mostRemembered) entries.delete(entries.keys().next().value as string)
      try {
        entry.last = await entry.answer
        return entry.last.value
      } catch (error) {
        // an error is nobody's identity: the next request asks again
        if (entries.get(name) === entry) entries.delete(name)
        throw error
      }
    },
    forget: (name) => void entries.delete(name),
    forgetWhere: (fits) => {
      for (const [name, { last }] of entries) if (fits(name, last?.value)) entries.delete(name)
    },
  }
}
