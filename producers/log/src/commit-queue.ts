/**
 * Which offset of a commands partition may be committed: the one after the longest run of decided commands. Commands are
 * decided in any order, but a commit says that everything before it is done.
 */
export class CommitQueue {
  #entries: { nextOffset: number; decided: boolean }[] = []
  /** entries before this one are decided and committable */
  #head = 0
  #undecided = 0
  #ready: number | undefined

  get undecided(): number {
    return this.#undecided
  }

  /** A record was taken in; call the returned function once its outcome is on the log. */
  track(offset: number): () => void {
    const entry = { nextOffset: offset + 1, decided: false }
    this.#entries.push(entry)
    this.#undecided++
    return () => {
      if (entry.decided) return
      entry.decided = true
      this.#undecided--
      this.#advance()
    }
  }

  /** The offset to commit now, once: undefined when nothing new became committable. */
  take(): number | undefined {
    const ready = this.#ready
    this.#ready = undefined
    return ready
  }

  #advance(): void {
    const before = this.#head
    while (this.#entries[this.#head]?.decided === true) this.#head++
    if (this.#head === before) return
    this.#ready = this.#entries[this.#head - 1]?.nextOffset
    if (this.#head === this.#entries.length) this.#entries = []
    else if (this.#head > 1_000) this.#entries = this.#entries.slice(this.#head)
    else return
    this.#head = 0
  }
}
