/**
 * A map that forgets its oldest keys. What it holds depends only on the live keys in order of their last `set`, so a copy
 * made from `entries()` behaves like the original for ever. An array keeps the order instead of the map itself: V8 walks
 * over the tombstones of deleted entries to find a map's first one, which makes evicting from a busy map quadratic.
 */
export class KeyWindow<V> {
  readonly #capacity: number
  readonly #entries = new Map<string, { value: V; slot: number }>()
  /** keys by age; undefined where a key was deleted or evicted */
  #order: (string | undefined)[] = []
  #oldest = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#entries.size
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)?.value
  }

  /** Sets a value and makes the key the youngest; the oldest goes when the window is full. */
  set(key: string, value: V): void {
    this.delete(key)
    this.#entries.set(key, { value, slot: this.#order.push(key) - 1 })
    if (this.#entries.size > this.#capacity) this.#evictOldest()
    if (this.#order.length > 2 * this.#capacity + 16) this.#compact()
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#order[entry.slot] = undefined
  }

  #evictOldest(): void {
    for (; this.#oldest < this.#order.length; this.#oldest++) {
      const key = this.#order[this.#oldest]
      if (key === undefined) continue
      this.delete(key)
      return
    }
  }

  #compact(): void {
    const live = this.#order.filter((key) => key !== undefined)
    this.#order = live
    this.#oldest = 0
    for (const [slot, key] of live.entries()) {
      const entry = this.#entries.get(key)
      if (entry) entry.slot = slot
    }
  }

  /** oldest first */
  *entries(): IterableIterator<[string, V]> {
    for (let i = this.#oldest; i < this.#order.length; i++) {
      const key = this.#order[i]
      const entry = key === undefined ? undefined : this.#entries.get(key)
      if (key !== undefined && entry !== undefined) yield [key, entry.value]
    }
  }
}
