import { Resolver } from 'node:dns/promises'

export interface DomainProof {
  /**
   * The TXT records of a domain, each as one text; none when the domain, or any such record, does not exist.
   * @throws Error when nobody could be asked
   */
  texts(domain: string): Promise<readonly string[]>
}

export interface DomainProofOptions {
  /** `address` or `address:port`; empty: the system's */
  readonly servers: readonly string[]
  readonly timeoutMs: number
}

/** answers that say: there is none */
const absent = new Set(['ENOTFOUND', 'ENODATA'])

export const createDomainProof = ({ servers, timeoutMs }: DomainProofOptions): DomainProof => ({
  texts: async (domain) => {
    const resolver = new Resolver({ timeout: Math.ceil(timeoutMs / 2), tries: 2 })
    if (servers.length > 0) resolver.setServers([...servers])
    try {
      // a text longer than 255 bytes comes in pieces
      return (await resolver.resolveTxt(domain)).map((pieces) => pieces.join(''))
    } catch (error) {
      if (absent.has((error as NodeJS.ErrnoException).code ?? '')) return []
      throw error
    }
  },
})
