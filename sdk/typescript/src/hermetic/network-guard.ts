import childProcess from 'node:child_process'
import dgram from 'node:dgram'
import dns from 'node:dns'
import dnsPromises from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import workerThreads from 'node:worker_threads'
import { OmiumError } from '@omium/schemas'

/**
 * Switches the network off for the rest of this process's life.
 *
 * 1. Below everything: sockets (and with them HTTP, TLS, fetch and every client library), datagrams and name look-ups. What
 *    is imported later finds the same closed doors.
 * 2. Other programs and threads would not be bound by it, each having modules of its own: none can be started.
 * 3. Each try is told, so that code which swallows the error is found all the same.
 */
export const switchNetworkOff = (onTry: (what: string) => void): void => {
  const refuse = (what: string): OmiumError => {
    onTry(what)
    return new OmiumError('replay_miss', `${what}: the network is off in a hermetic replay`)
  }
  const forbid =
    (describe: (args: unknown[]) => string) =>
    (...args: unknown[]): never => {
      throw refuse(describe(args))
    }

  net.Socket.prototype.connect = forbid((args) => `a connection to ${placeOf(args)}`) as never
  dgram.Socket.prototype.send = forbid(() => 'a datagram') as never
  dgram.Socket.prototype.connect = forbid((args) => `a datagram socket to port ${String(args[0])}`) as never
  const lookUp = (args: unknown[]): string => `a look-up of ${String(args[0])}`
  for (const resolver of [dns, dnsPromises, dns.Resolver.prototype, dnsPromises.Resolver.prototype] as object[]) {
    for (const name of Object.getOwnPropertyNames(resolver)) {
      if (/^(lookup|resolve|reverse)/.test(name)) Object.assign(resolver, { [name]: forbid(lookUp) })
    }
  }
  const start = (args: unknown[]): string => `the start of ${String(args[0])}`
  for (const name of ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'] as const) {
    Object.assign(childProcess, { [name]: forbid(start) })
  }
  const Thread = class {
    constructor(...args: unknown[]) {
      throw refuse(`the start of a thread for ${String(args[0]).slice(0, 200)}`)
    }
  }
  Object.assign(workerThreads, { Worker: Thread })
  // `import { connect } from 'node:net'` sees the same functions
  syncBuiltinESMExports()
}

/** Of the many forms that `connect` takes. */
const placeOf = ([first, second]: unknown[]): string => {
  const given = Array.isArray(first) ? (first[0] as unknown) : first
  if (given === null || typeof given !== 'object') {
    return typeof second === 'string' ? `${second}:${String(given)}` : String(given)
  }
  const { path, host, port } = given as { path?: string; host?: string; port?: number }
  return path ?? `${host ?? 'localhost'}:${port}`
}
