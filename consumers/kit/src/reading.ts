import { retry } from './retry.ts'
import type { Clock } from './timer-queue.ts'

/** What can be read on and on: a tail, or a reader of a topic. */
export interface Source<B> {
  /** null once it is closed */
  next(): Promise<B | null>
  close(): Promise<void>
}

export interface ReadingOptions<B> {
  readonly clock: Clock
  open(): Promise<Source<B>>
  take(batch: B): Promise<void>
  /** opening, reading or taking failed; it starts anew after a while */
  onFailure(error: unknown): void
}

export interface Reading {
  /** aborted when reading is to end: whatever `take` waits for ends then */
  readonly signal: AbortSignal
  /** resolves when nothing is taken any more */
  close(): Promise<void>
}

/**
 * Reads until it is closed.
 *
 * 1. One batch at a time: the next one is asked for when `take` has resolved.
 * 2. After any failure everything starts anew with `open`, which goes on from where the caller knows that it was. What
 *    was given out and not taken comes again.
 * 3. A batch that was given out is taken, also when it is closed meanwhile; so what the source counts as given out is what
 *    was taken, or failed.
 */
export const keepReading = <B>({ clock, open, take, onFailure }: ReadingOptions<B>): Reading => {
  const ended = new AbortController()
  const { signal } = ended
  let source: Source<B> | undefined
  const readOn = async (): Promise<void> => {
    const opened = await open()
    source = opened
    try {
      while (!signal.aborted) {
        const batch = await opened.next()
        if (batch !== null) await take(batch)
        else if (!signal.aborted) throw new Error('the source ended')
      }
    } finally {
      source = undefined
      await opened.close().catch(() => undefined)
    }
  }
  const done = retry(readOn, { clock, signal, onFailure }).catch(() => undefined)
  return {
    signal,
    close: async () => {
      ended.abort()
      await source?.close().catch(() => undefined)
      await done
    },
  }
}
