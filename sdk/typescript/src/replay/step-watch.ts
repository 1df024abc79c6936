/** A step function that runs, as the watch sees it. */
export interface Watched {
  /** true while try number `tryNumber` runs */
  isRunning(tryNumber: number): boolean
  /** it runs for longer than the marker's delay: tell the engine */
  markStarted(): void
  timedOut(): void
}

export const markerDelayMs = 100
const tickMs = 20

interface Mark {
  step: Watched
  tryNumber: number
  at: number
}

/**
 * One coarse timer for all running steps of a process, instead of one for each.
 *
 * 1. A step that still runs after {@link markerDelayMs} is marked as started, once a try.
 * 2. Marks are due in the order in which steps began, as the delay is the same for all: a queue suffices.
 * 3. The timer runs only while something is watched and never keeps the process alive.
 * 4. Timeouts are late by one tick at most (plus what blocks the loop).
 */
export class StepWatch {
  private readonly nowMs: () => number
  private marks: Mark[] = []
  private head = 0
  private readonly deadlines = new Set<Mark>()
  private timer: NodeJS.Timeout | undefined

  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  /** Watches one try of a step. `timeoutMs` undefined means no limit. */
  add(step: Watched, tryNumber: number, timeoutMs: number | undefined): void {
    const now = this.nowMs()
    this.marks.push({ step, tryNumber, at: now + markerDelayMs })
    if (timeoutMs !== undefined) this.deadlines.add({ step, tryNumber, at: now + timeoutMs })
    this.timer ??= setInterval(() => this.tick(), tickMs).unref()
  }

  private tick(): void {
    const now = this.nowMs()
    for (const deadline of this.deadlines) {
      if (!deadline.step.isRunning(deadline.tryNumber)) this.deadlines.delete(deadline)
      else if (deadline.at <= now) {
        this.deadlines.delete(deadline)
        deadline.step.timedOut()
      }
    }
    for (let mark = this.marks[this.head]; mark !== undefined && mark.at <= now; mark = this.marks[this.head]) {
      this.head += 1
      if (mark.step.isRunning(mark.tryNumber)) mark.step.markStarted()
    }
    if (this.head > 1024 || this.head === this.marks.length) {
      this.marks = this.marks.slice(this.head)
      this.head = 0
    }
    if (this.marks.length === 0 && this.deadlines.size === 0) {
      clearInterval(this.timer)
      this.timer = undefined
    }
  }
}
