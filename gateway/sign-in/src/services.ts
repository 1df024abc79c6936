import type { SessionCallers } from '@omium/access'
import type { PersonalData } from '@omium/personal-data'
import type { IdSource } from '@omium/schemas'
import type { Accounts } from './accounts.ts'
import type { Cookies } from './cookies.ts'
import type { DeviceGrants } from './device-grants.ts'
import type { Ceremony, PendingSignIn } from './factors/ceremonies.ts'
import type { SecondFactors } from './factors/second-factors.ts'
import type { WebAuthn } from './factors/webauthn.ts'
import type { MagicLinks } from './magic-links.ts'
import type { AttemptLimits, IdentityReads } from './ports.ts'
import type { Provider, ProviderSecrets } from './providers/provider.ts'
import type { SealedTokens } from './sealed-token.ts'
import type { Sessions } from './sessions.ts'
import type { Sso } from './sso/sso.ts'
import type { SigningKeys } from './tokens/signing-keys.ts'

/** A sign-in with a provider that is under way, kept in a cookie of the browser that began it. */
export interface Transaction extends ProviderSecrets {
  readonly provider: string
  readonly returnTo: string
}

/** What the routes work with; `open.ts` makes it. */
export interface SignInServices {
  readonly publicUrl: string
  readonly accounts: Accounts
  readonly sessions: Sessions
  /** undefined: no mail server is set up */
  readonly magicLinks: MagicLinks | undefined
  readonly deviceGrants: DeviceGrants
  readonly providers: ReadonlyMap<string, Provider>
  readonly transactions: SealedTokens<Transaction>
  readonly sso: Sso
  readonly factors: SecondFactors
  /** undefined: browsers know no credentials for the installation's address */
  readonly webAuthn: WebAuthn | undefined
  readonly ceremonies: SealedTokens<Ceremony>
  /** sign-ins that miss a second factor */
  readonly pending: SealedTokens<PendingSignIn>
  readonly callers: SessionCallers
  readonly cookies: Cookies
  readonly keys: SigningKeys
  readonly limits: AttemptLimits
  readonly personalData: PersonalData
  readonly reads: IdentityReads
  readonly ids: IdSource
  readonly nowMs: () => number
  /** paths under which people may land after signing in */
  readonly returnTo: readonly string[]
}
