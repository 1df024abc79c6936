import type { HostedRun } from './port.ts'

/**
 * Gives runs their turns: one setImmediate serves every run that asked since the last one, and a run gets one turn of it.
 * All microtasks of user code end before the next turn, which is what `Run` means by user code standing still.
 */
export class Turns {
  private due: HostedRun[] = []

  get empty(): boolean {
    return this.due.length === 0
  }

  schedule(run: HostedRun): void {
    if (run.scheduled) return
    run.scheduled = true
    this.due.push(run)
    if (this.due.length === 1) setImmediate(() => this.serve())
  }

  private serve(): void {
    const runs = this.due
    this.due = []
    for (const run of runs) {
      run.scheduled = false
      run.turn()
    }
  }
}
