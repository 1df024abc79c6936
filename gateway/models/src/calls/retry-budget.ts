/** Retries as a bounded share of calls: when a provider is down for everybody they dry up instead of multiplying the load. */
export class RetryBudget {
  readonly #share: number
  readonly #capacity: number
  #tokens: number

  /** @param percent retries for each hundred calls; a few are there from the start */
  constructor(percent: number, capacity = 10) {
    this.#share = percent / 100
    this.#capacity = percent === 0 ? 0 : capacity
    this.#tokens = this.#capacity
  }

  deposit(): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + this.#share)
  }

  /** false: no retry now */
  withdraw(): boolean {
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
