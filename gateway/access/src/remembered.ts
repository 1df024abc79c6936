import { OmiumError } from '@omium/schemas'

/**
 * Answers of the database about who may do what, remembered for a few seconds.
 *
 * 1. What the log says to have changed is forgotten, and asked for again of a database that has the change. One that does not get
 *    it in time is an error (`unavailable`): nobody keeps a right because a read model is behind or away.
 * 2. While the database is away, or hangs, an answer that is some minutes old stands in for it: what is asked for goes to the log,
 *    which may well be there. But only for a process that has heard everything that the log says (`isFollowed`).
 */
export interface Remembered<T> {
  get(name: string): Promise<T>
  /**
   * It changed, as the log says: an answer under this name, or every one that is about this (`about`).
   * @param reached waits, at most so long, until the database has the change
   */
  changed(subject: string, reached: Reached): void
}

/** Whether the database has it, waiting for that at most so long. */
export type Reached = (timeoutMs: number) => Promise<boolean>

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

export interface RememberOptions<T> {
  readonly ask: (name: string) => Promise<T>
  /** whether an old answer may stand in while the database is away */
  readonly outlasts: (value: T) => boolean
  /** what else an answer depends on, as {@link Remembered.changed} names it */
  readonly about?: (name: string, value: T) => readonly string[]
  /** whether this process has heard everything that the log says by now */
  readonly isFollowed: () => Promise<boolean>
  readonly nowMs: () => number
  readonly cacheMs: number
}

/** how long an answer is good when no newer one is to be had */
const outageMs = 5 * 60_000
/** how long the database may take where an older answer could stand in */
const hangsAfterMs = 1_000
/** how long a request waits for a change to be in the database */
const catchUpMs = 2_000
/** after so long nobody waits for a change any more, except who asks */
const patienceMs = 10 * 60_000
const mostRemembered = 10_000

export const remember = <T>(options: RememberOptions<T>): Remembered<T> => {
  const { ask, outlasts, about = () => [], isFollowed, nowMs, cacheMs } = options
  const entries = new Map<string, Entry<T>>()
  /** what the log says to have changed, until the database has it */
  const changes = new Map<string, Reached>()

  /** a clock that was set back says nothing about age */
  const isYoung = ({ at }: Answer<T>): boolean => nowMs() >= at && nowMs() - at < outageMs

  /** @throws OmiumError `unavailable` */
  const untilInDatabase = async (subjects: readonly string[]): Promise<void> => {
    for (const subject of subjects) {
      const reached = changes.get(subject)
      if (!reached) continue
      if (!(await reached(catchUpMs)))
        throw new OmiumError(
          'unavailable',
          'what may be done here has changed, and how is not known yet; try again shortly',
        )
      if (changes.get(subject) === reached) changes.delete(subject)
    }
  }

  const current = async (name: string, mayHang: boolean): Promise<T> => {
    await untilInDatabase([name])
    const value = await (mayHang ? ask(name) : within(hangsAfterMs, ask(name)))
    const late = about(name, value).filter((subject) => changes.has(subject))
    if (late.length === 0) return value
    await untilInDatabase(late)
    return ask(name)
  }

  const answer = async (name: string, last: Answer<T> | undefined): Promise<Answer<T>> => {
    const standIn = last && outlasts(last.value) && isYoung(last) ? last : undefined
    try {
      return { value: await current(name, standIn === undefined), at: nowMs() }
    } catch (error) {
      if (!standIn || !(await isFollowed())) throw error
      if ([name, ...about(name, standIn.value)].some((subject) => changes.has(subject))) throw error
      return standIn
    }
  }

  return {
    get: async (name) => {
      const known = entries.get(name)
      if (known && known.until > nowMs() && known.until - nowMs() <= cacheMs) return (await known.answer).value
      const entry: Entry<T> = { answer: answer(name, known?.last), until: nowMs() + cacheMs, last: known?.last }
      entries.delete(name)
      entries.set(name, entry)
      if (entries.size > mostRemembered) entries.delete(entries.keys().next().value as string)
      try {
        entry.last = await entry.answer
        return entry.last.value
      } catch (error) {
        // an error is nobody's identity: the next request asks again
        if (entries.get(name) === entry) {
          if (entry.last) entries.set(name, { ...entry, until: 0 })
          else entries.delete(name)
        }
        throw error
      }
    },
    changed: (subject, reached) => {
      const touched = [...entries].filter(
        // one that is being asked for may be about anything
        ([name, { last }]) => name === subject || (last ? about(name, last.value).includes(subject) : true),
      )
      for (const [name] of touched) entries.delete(name)
      const subjects = new Set([subject, ...touched.map(([name]) => name)])
      for (const one of subjects) changes.set(one, reached)
      const forget = (isReached: boolean) => {
        if (isReached) for (const one of subjects) if (changes.get(one) === reached) changes.delete(one)
      }
      reached(patienceMs).then(forget, () => undefined)
    },
  }
}

/** @throws Error when it takes longer; what comes then is nobody's concern */
const within = async <T>(timeoutMs: number, asked: Promise<T>): Promise<T> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('the database does not answer')), timeoutMs)
  try {
    return await Promise.race([asked, promise])
  } finally {
    clearTimeout(timer)
    asked.catch(() => undefined)
  }
}
