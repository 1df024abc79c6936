/**
 * Notices that the process stood still (a stopped process, a sleeping machine). What it knows of its partitions may then be as
 * old as the standstill was long, and it takes the group a moment to tell it that others own them by now; until then it must
 * not sweep, since objects that look old and not referred to may be from the time that it missed.
 */
const standstillMs = 3_600_000
/** several session timeouts */
const settleMs = 900_000

export class Standstill {
  #last: number
  #settledAt = 0

  constructor(nowMs: number) {
    this.#last = nowMs
  }

  /** Called again and again, much more often than every hour. @returns whether what is known can be relied on */
  tick(nowMs: number): boolean {
    if (nowMs - this.#last > standstillMs) this.#settledAt = nowMs + settleMs
    this.#last = nowMs
    return nowMs >= this.#settledAt
  }
}
