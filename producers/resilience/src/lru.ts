/** Things by key, of which so many are kept: what was used longest ago goes first, and whatever goes is closed. */
export interface Lru<T extends { close(): void }> {
  /** what is there, or else what `make` makes */
  get(key: string, make: () => T): T
  drop(key: string): void
  values(): IterableIterator<T>
  close(): void
}

export const createLru = <T extends { close(): void }>(most: number): Lru<T> => {
  const kept = new Map<string, T>()
  const drop = (key: string): void => {
    kept.get(key)?.close()
    kept.delete(key)
  }
  return {
    get: (key, make) => {
      const one = kept.get(key) ?? make()
      kept.delete(key)
      kept.set(key, one)
      const [oldest] = kept.keys()
      if (kept.size > most && oldest !== undefined) drop(oldest)
      return one
    },
    drop,
    values: () => kept.values(),
    close: () => {
      for (const key of [...kept.keys()]) drop(key)
    },
  }
}
