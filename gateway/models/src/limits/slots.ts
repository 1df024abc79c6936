import { OmiumError } from '@omium/schemas'

interface Waiting {
  readonly turn: () => void
  readonly refuse: () => void
}

/**
 * A cap on calls at a time, with a bounded queue that is fair between those who share it.
 *
 * 1. A free slot goes to whoever of those who wait holds the fewest, of equals in turn, so that long or many calls of one do not
 *    make the others wait for more than their share. Calls of one are served in order of arrival.
 * 2. Whoever fills the queue gives way in it: when it is full, the newest call of whoever has most in it makes room for one of
 *    somebody who has fewer. Each keeps an equal part of it.
 * 3. A slot is handed on, never free while somebody waits.
 */
export class Slots {
  readonly #what: string
  readonly #most: number
  readonly #mostWaiting: number
  readonly #code: 'model_overloaded' | 'rate_limited'
  #taken = 0
  #queued = 0
  readonly #held = new Map<string, number>()
  /** in turn: whoever is served goes to the end */
  readonly #waiting = new Map<string, Waiting[]>()

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
    return this.#queued
  }

  /**
   * @param who shares the slots with others: a tenant
   * @returns gives the slot back; further calls of it do nothing
   * @throws OmiumError when the queue is full, also while it waits; the signal's reason when it aborts first
   */
  async take(who: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.#taken >= this.#most) await this.#turn(who, signal)
    else {
      this.#taken++
      this.#hold(who)
    }
    let given = false
    return () => {
      if (given) return
      given = true
      this.#giveBack(who)
    }
  }

  #hold(who: string): void {
    this.#held.set(who, (this.#held.get(who) ?? 0) + 1)
  }

  #giveBack(who: string): void {
    const held = (this.#held.get(who) ?? 0) - 1
    if (held > 0) this.#held.set(who, held)
    else this.#held.delete(who)
    // handed on, not given back: a newcomer must not overtake
    const next = this.#next()
    if (next) next.turn()
    else this.#taken--
  }

  #next(): Waiting | undefined {
    let chosen: string | undefined
    for (const who of this.#waiting.keys())
      if (chosen === undefined || (this.#held.get(who) ?? 0) < (this.#held.get(chosen) ?? 0)) chosen = who
    const queue = chosen === undefined ? undefined : this.#waiting.get(chosen)
    const first = queue?.[0]
    if (chosen === undefined || !queue || !first) return undefined
    this.#remove(chosen, queue, first)
    this.#hold(chosen)
    // the next one of the same comes after everybody else's
    if (queue.length > 0) {
      this.#waiting.delete(chosen)
      this.#waiting.set(chosen, queue)
    }
    return first
  }

  #turn(who: string, signal: AbortSignal): Promise<void> {
    if (this.#queued >= this.#mostWaiting && !this.#makeRoomFor(who)) throw this.#full()
    return new Promise((resolve, reject) => {
      const queue = this.#waiting.get(who) ?? []
      const stop = (): void => signal.removeEventListener('abort', gone)
      const one: Waiting = {
        turn: () => {
          stop()
          resolve()
        },
        refuse: () => {
          stop()
          reject(this.#full())
        },
      }
      const gone = (): void => {
        this.#remove(who, queue, one)
        reject(signal.reason)
      }
      signal.addEventListener('abort', gone, { once: true })
      queue.push(one)
      this.#queued++
      this.#waiting.set(who, queue)
    })
  }

  /** Refuses the newest call of whoever has most in the queue. @returns false when that is nobody but the newcomer */
  #makeRoomFor(who: string): boolean {
    let longest = who
    for (const [other, { length }] of this.#waiting)
      if (length > (this.#waiting.get(longest)?.length ?? 0)) longest = other
    const queue = this.#waiting.get(longest)
    const last = queue?.at(-1)
    // one more of the newcomer's must not make it the one with most
    if (!queue || !last || queue.length <= (this.#waiting.get(who)?.length ?? 0) + 1) return false
    this.#remove(longest, queue, last)
    last.refuse()
    return true
  }

  #remove(who: string, queue: Waiting[], one: Waiting): void {
    const at = queue.indexOf(one)
    if (at < 0) return
    queue.splice(at, 1)
    this.#queued--
    if (queue.length === 0) this.#waiting.delete(who)
  }

  #full(): OmiumError {
    return new OmiumError(this.#code, `${this.#what}: ${this.#most} calls run and ${this.#mostWaiting} wait already`, {
      data: { retryAfterMs: 1000 },
    })
  }
}
