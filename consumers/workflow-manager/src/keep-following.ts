import type { Following } from './ports.ts'

/** What a follower is told about its own end, and what has to be closed with it. */
export interface Link {
  readonly closed: boolean
  /** what is read from now on; it is closed when following ends or starts anew */
  hold(source: { close(): Promise<void> }): void
  untilClosed(): Promise<void>
}

export interface KeepFollowingOptions {
  readonly retryDelayMs: number
  readonly onRetry: (error: unknown) => void
}

/** Follows until it is closed; after an error it starts anew. */
export const keepFollowing = (
  follow: (link: Link) => Promise<void>,
  { retryDelayMs, onRetry }: KeepFollowingOptions,
): Following => {
  let source: { close(): Promise<void> } | undefined
  let closed = false
  let wake: (() => void) | undefined
  const link: Link = {
    get closed() {
      return closed
    },
    hold: (held) => {
      source = held
    },
    untilClosed: () =>
      new Promise((resolve) => {
        wake = resolve
        if (closed) resolve()
      }),
  }
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, retryDelayMs)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  const run = async (): Promise<void> => {
    while (!closed) {
      try {
        await follow(link)
      } catch (error) {
        if (closed) return
        onRetry(error)
        await pause()
      } finally {
        await source?.close().catch(() => undefined)
        source = undefined
      }
    }
  }
  const loop = run()
  return {
    close: async () => {
      closed = true
      wake?.()
      await source?.close()
      await loop
    },
  }
}
