import type { Server } from 'node:http'

export interface DrainBounds {
  /** how long nothing may have come before idle connections are cut, ms */
  readonly quietMs: number
  /** after that they are cut in any case, ms */
  readonly atMostMs: number
}

/** longer than an answer is on its way to whoever sends the next request over the same connection */
const defaultBounds: DrainBounds = { quietMs: 250, atMostMs: 2_000 }

/**
 * How an HTTP server closes that others still send to: it takes no more connections, but those that are idle are cut only when
 * nothing has come for a while. A request that was on its way when the end began is answered; whoever hears a reset instead cannot
 * know whether it was carried out. The server's own code says `connection: close` with the answers that it then gives.
 */
export const closeWhenQuiet = (server: Server, { quietMs, atMostMs }: DrainBounds = defaultBounds): void => {
  let lastRequestAt = Number.NEGATIVE_INFINITY
  server.on('request', () => {
    lastRequestAt = performance.now()
  })
  // what `close` calls
  const cutIdle = server.closeIdleConnections.bind(server)
  server.closeIdleConnections = () => {
    const begunAt = performance.now()
    const wait = () => {
      const quietAt = Math.max(begunAt, lastRequestAt) + quietMs
      const left = Math.min(quietAt, begunAt + atMostMs) - performance.now()
      if (left > 0) setTimeout(wait, left).unref()
      else cutIdle()
    }
    wait()
  }
}
