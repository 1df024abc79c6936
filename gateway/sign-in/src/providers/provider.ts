import type { Login } from '@omium/schemas'
import { z } from 'zod'

/** An account at an identity provider, as the provider vouches for it. */
export interface Account {
  readonly method: Login['method']
  readonly issuer: string
  /** the provider's own name of the account; never changes, unlike the address */
  readonly subject: string
  /** the address, when the provider says that it is verified and is trusted to say so */
  readonly email: string | undefined
  readonly name: string | undefined
  /** RFC 8176 */
  readonly amr: readonly string[]
  /** when they proved who they are, ms; 0 when the provider does not tell */
  readonly authenticatedAt: number
  /** all that an OpenID provider said, for rules about roles */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** What has to be remembered, in the browser that began, until the provider answers. */
export const providerSecrets = z.object({
  state: z.string(),
  nonce: z.string(),
  codeVerifier: z.string(),
  /** they had to prove anew who they are */
  fresh: z.boolean(),
})
export type ProviderSecrets = z.infer<typeof providerSecrets>

export interface Provider {
  readonly id: string
  readonly label: string
  /**
   * @param fresh they have to prove anew who they are
   * @throws OmiumError `unavailable`; `reauthentication_required` when this provider cannot be asked for a fresh proof
   */
  begin(redirectUri: string, fresh: boolean): Promise<{ readonly url: URL; readonly secrets: ProviderSecrets }>
  /**
   * @param answer the redirect URI with the query that the browser brought
   * @throws OmiumError `sign_in_refused` when the answer does not hold, `unavailable`
   */
  finish(answer: URL, secrets: ProviderSecrets): Promise<Account>
  close(): void
}
