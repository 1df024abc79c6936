import { Resolver } from 'node:dns/promises'

/** All addresses of a name. @throws Error when there are none, or nobody could be asked */
export type Resolve = (name: string, signal: AbortSignal) => Promise<readonly string[]>

/**
 * Asks DNS servers itself rather than the system: a slow name then waits on its own, where the system's look-ups of a process
 * share four threads. `localhost` is loopback, without asking anybody (RFC 6761).
 * @param servers `address:port`; the system's when absent
 */
export const createResolver =
  (servers?: readonly string[]): Resolve =>
  async (name, signal) => {
    if (/(^|\.)localhost\.?$/i.test(name)) return ['127.0.0.1', '::1']
    const resolver = new Resolver({ timeout: 2_000, tries: 2 })
    if (servers) resolver.setServers([...servers])
    const cancel = () => resolver.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      const [v4, v6] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
      const addresses = [v4, v6].flatMap((asked) => (asked.status === 'fulfilled' ? asked.value : []))
      if (addresses.length > 0) return addresses
      throw v4.status === 'rejected' ? v4.reason : new Error(`${name} has no address`)
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }
