/**
 * Which offset of a commands partition may be committed: the one after the longest run of decided commands. Commands are
 * decided in any order, but a commit says that everything before it is done.
 */
export class CommitQueue {
  #entries: { nextOffset: number; decided: boolean }[] = []
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
    let done = 0
    while (this.#entries[done]?.decided === true) done++
    if (done === 0) return
    this.#ready = this.#entries[done - 1]?.nextOffset
    this.#entries = done === this.#entries.length ? [] : this.#entries.slice(done)
  }
}
