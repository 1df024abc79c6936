import { Resolver } from 'node:dns/promises'
import { createLru, createOutsideCalls, type OutsideCalls } from '@omium/resilience'

export interface DomainProof {
  /**
   * The TXT records of a domain, each as one text; none when the domain, or any such record, does not exist.
   * @throws Error when nobody could be asked
   */
  texts(domain: string): Promise<readonly string[]>
  close(): void
}

export interface DomainProofOptions {
  /** `address` or `address:port`; empty: the system's */
  readonly servers: readonly string[]
  /** of one try */
  readonly timeoutMs: number
}

/** answers that say: there is none */
const absent = new Set(['ENOTFOUND', 'ENODATA'])
/** whoever claims a domain whose name servers are dead is alone with that: each has a breaker of its own */
const mostDomains = 1_000

export const createDomainProof = ({ servers, timeoutMs }: DomainProofOptions): DomainProof => {
  const domains = createLru<OutsideCalls>(mostDomains)
  const callsOf = (domain: string) =>
    domains.get(domain, () => createOutsideCalls({ target: 'DNS of domains', timeoutMs, tries: 2, windowMs: 60_000 }))
  return {
    texts: (domain) =>
      callsOf(domain).call(async (signal) => {
        const resolver = new Resolver({ timeout: timeoutMs, tries: 1 })
        if (servers.length > 0) resolver.setServers([...servers])
        signal.addEventListener('abort', () => resolver.cancel(), { once: true })
        try {
          // a text longer than 255 bytes comes in pieces
          return (await resolver.resolveTxt(domain)).map((pieces) => pieces.join(''))
        } catch (error) {
          if (absent.has((error as NodeJS.ErrnoException).code ?? '')) return []
          throw error
        }
      }),
    close: domains.close,
  }
}
