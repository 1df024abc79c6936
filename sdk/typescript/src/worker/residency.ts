import type { HostedRun } from '../replay/port.ts'

const checkEveryMs = 250

/** Sends runs away that wait for long, or that are too many: they come back when something resolves. */
export class Residency {
  private readonly residentMs: number
  private readonly maxResident: number
  /** oldest first */
  private readonly since = new Map<HostedRun, number>()
  private readonly timer: NodeJS.Timeout

  constructor(residentMs: number, maxResident: number) {
    this.residentMs = residentMs
    this.maxResident = maxResident
    this.timer = setInterval(() => this.check(), Math.min(checkEveryMs, Math.max(10, residentMs / 2))).unref()
  }

  add(run: HostedRun): void {
    this.since.delete(run)
    this.since.set(run, performance.now())
    while (this.since.size > this.maxResident) {
      const [oldest] = this.since.keys()
      if (!oldest) return
      this.send(oldest)
    }
  }

  remove(run: HostedRun): void {
    this.since.delete(run)
  }

  close(): void {
    clearInterval(this.timer)
    this.since.clear()
  }

  private check(): void {
    const now = performance.now()
    for (const [run, since] of this.since) {
      if (!run.waiting) this.since.delete(run)
      else if (now - since >= this.residentMs) this.send(run)
      else return
    }
  }

  private send(run: HostedRun): void {
    this.since.delete(run)
    if (run.waiting) run.suspend('waiting')
  }
}
