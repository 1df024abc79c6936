/** Something that lasts and is to be asked now and then. */
interface Lasting {
  beat(): Promise<void>
  end(): void
}

/**
 * One clock for all connections: each beats every `heartbeatMs`, some at a time, so that many thousands stop nothing else.
 * A timer for each would weigh as much as the rest of a connection that rests.
 */
export interface Heartbeats<T extends Lasting> {
  add(one: T): void
  delete(one: T): void
  /** no more beats, and the end for all */
  end(): void
}

const mostTurns = 100
const shortestTurnMs = 10

export const createHeartbeats = <T extends Lasting>(heartbeatMs: number): Heartbeats<T> => {
  const count = Math.max(1, Math.min(mostTurns, Math.floor(heartbeatMs / shortestTurnMs)))
  const turns = Array.from({ length: count }, () => new Set<T>())
  let added = 0
  let at = 0
  const timer = setInterval(() => {
    at = (at + 1) % count
    for (const one of turns[at] ?? []) void one.beat()
  }, heartbeatMs / count)
  return {
    add: (one) => void turns[added++ % count]?.add(one),
    delete: (one) => {
      for (const turn of turns) if (turn.delete(one)) return
    },
    end: () => {
      clearInterval(timer)
      for (const turn of turns) for (const one of turn) one.end()
    },
  }
}
