import { OmiumError } from '@omium/schemas'

/** A cap on calls at a time, with a bounded queue in order of arrival. */
export class Slots {
  readonly #what: string
  readonly #most: number
  readonly #mostWaiting: number
  readonly #code: 'model_overloaded' | 'rate_limited'
  #taken = 0
  readonly #waiting: (() => void)[] = []

  constructor(what: string, most: number, mostWaiting: number, code: 'model_overloaded' | 'rate_limited') {
    this.#what = what
    this.#most = most
    this.#mostWaiting = mostWaiting
    this.#code = code
  }

  get taken(): number {
    return this.#taken
  }
  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * @returns gives the slot back; further calls of it do nothing
   * @throws OmiumError when the queue is full; the signal's reason when it aborts first
   */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.#taken >= this.#most) await this.#turn(signal)
    else this.#taken++
    let given = false
    return () => {
      if (given) return
      given = true
      // handed on, not given back: a newcomer must not overtake
      const next = this.#waiting.shift()
      if (next) next()
      else this.#taken--
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#mostWaiting)
      throw new OmiumError(this.#code, `${this.#what}: ${this.#most} calls run and ${this.#mostWaiting} wait already`, {
        data: { retryAfterMs: 1000 },
      })
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        signal.removeEventListener('abort', gone)
        resolve()
      }
      const gone = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1)
        reject(signal.reason)
      }
      signal.addEventListener('abort', gone, { once: true })
      this.#waiting.push(turn)
    })
  }
}
