import { createLru, createOutsideCalls, type OutsideCalls } from '@omium/resilience'
import type { SafeFetch } from '@omium/safe-fetch'
import { OmiumError } from '@omium/schemas'
import { type IdpMetadata, readIdpMetadata } from './saml/metadata.ts'

/** Metadata of identity providers, as those who connect one bring it: as a document, or by where it is published. */
export interface IdpMetadataReader {
  /** @throws OmiumError `invalid_request` */
  read(xml: string): IdpMetadata
  /**
   * @param tenant who asks: what it has us call in vain is nobody else's breaker
   * @throws OmiumError `invalid_request`, `address_refused`, `outside_failed`, `unavailable`
   */
  fetch(tenant: string, url: string): Promise<IdpMetadata>
  close(): void
}

const mostBytes = 256 * 1024
const mostTenants = 500
const accept = 'application/samlmetadata+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1'

export const createIdpMetadataReader = (safeFetch: SafeFetch, nowMs: () => number): IdpMetadataReader => {
  const tenants = createLru<OutsideCalls>(mostTenants)
  const isFinal = (error: unknown) => error instanceof OmiumError && error.code === 'address_refused'
  const options = { target: 'identity provider', timeoutMs: 10_000, tries: 2, windowMs: 30_000, isFinal } as const
  const read = (xml: string): IdpMetadata => readIdpMetadata(xml, nowMs())
  return {
    read,
    fetch: async (tenant, url) => {
      const calls = tenants.get(tenant, () => createOutsideCalls(options))
      const { status, body } = await calls.call(async (signal) => {
        const answer = await safeFetch(url, { headers: { accept }, redirects: 3, maxBytes: mostBytes, signal })
        if (answer.status >= 500) throw new OmiumError('outside_failed', `the address answers ${answer.status}`)
        return answer
      })
      if (status !== 200) throw new OmiumError('outside_failed', `the address answers ${status}`)
      return read(body.toString('utf8'))
    },
    close: tenants.close,
  }
}
