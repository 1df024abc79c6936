interface Timer {
  at: number
  order: number
  callback: () => void
}

/** Time that passes only when the harness says so. */
export class VirtualClock {
  private current: number
  private order = 0
  private readonly timers = new Set<Timer>()

  constructor(startMs: number) {
    this.current = startMs
  }

  now(): number {
    return this.current
  }

  /** Calls back at a time; gives a function that prevents it. */
  at(timeMs: number, callback: () => void): () => void {
    const timer = { at: Math.max(timeMs, this.current), order: this.order++, callback }
    this.timers.add(timer)
    return () => this.timers.delete(timer)
  }

  get hasTimers(): boolean {
    return this.timers.size > 0
  }

  /** Jumps to the earliest timer and fires it; timers of one instant fire one by one, in the order of their setting. */
  advance(): void {
    let next: Timer | undefined
    for (const timer of this.timers)
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer
    if (!next) return
    this.timers.delete(next)
    this.current = next.at
    next.callback()
  }
}
