/** A step function that runs, as the watch sees it. */
export interface Watched {
  /** it runs for longer than the marker's delay: tell the engine */
  markStarted(): void
  timedOut(): void
}

const markerDelayMs = 100
const tickMs = 20

/**
 * One coarse timer for all running steps of a process, instead of one for each.
 *
 * 1. A step that still runs after {@link markerDelayMs} is marked as started, once a try.
 * 2. Marks are due in the order in which steps began, as the delay is the same for all: the maps' own order suffices.
 * 3. Nothing is kept of a step that has ended, or every step would live as long as the marker's delay.
 * 4. The timer runs only while something is watched and never keeps the process alive.
 * 5. Timeouts are late by one tick at most (plus what blocks the loop).
 */
export class StepWatch {
  private readonly nowMs: () => number
  private readonly marks = new Map<Watched, number>()
  private readonly deadlines = new Map<Watched, number>()
  private timer: NodeJS.Timeout | undefined

  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  /** Watches a step until it is removed. `timeoutMs` undefined means no limit. */
  add(step: Watched, timeoutMs: number | undefined): void {
    const now = this.nowMs()
    this.marks.set(step, now + markerDelayMs)
    if (timeoutMs !== undefined) this.deadlines.set(step, now + timeoutMs)
    this.timer ??= setInterval(() => this.tick(), tickMs).unref()
  }

  remove(step: Watched): void {
    this.marks.delete(step)
    if (this.deadlines.size > 0) this.deadlines.delete(step)
  }

  private tick(): void {
    const now = this.nowMs()
    for (const [step, at] of this.deadlines) {
      if (at > now) continue
      this.remove(step)
      step.timedOut()
    }
    for (const [step, at] of this.marks) {
      if (at > now) break
      this.marks.delete(step)
      step.markStarted()
    }
    if (this.marks.size === 0 && this.deadlines.size === 0) {
      clearInterval(this.timer)
      this.timer = undefined
    }
  }
}
