import type { Rights } from '@omium/access'
import { createSmtpMailer } from '@omium/mail'
import type { Kms, PersonalData } from '@omium/personal-data'
import type { Reads } from '@omium/projection-kit'
import type { EgressRules } from '@omium/safe-fetch'
import { type IdSource, isLoopback, OmiumError } from '@omium/schemas'
import type { Pool } from 'pg'
import { z } from 'zod'
import { createAccounts } from './accounts.ts'
import { createLocalAttemptLimits, createRedisAttemptLimits } from './attempt-limits.ts'
import { createCookies } from './cookies.ts'
import { derivedKey } from './derived-keys.ts'
import { createDeviceGrants } from './device-grants.ts'
import { createCeremonies, createPendingSignIns } from './factors/ceremonies.ts'
import { createSecondFactors } from './factors/second-factors.ts'
import { createWebAuthn } from './factors/webauthn.ts'
import { createIdentityReads } from './identity-reads.ts'
import { createMagicLinks } from './magic-links.ts'
import type { IdentityCommands } from './ports.ts'
import { providerSecrets } from './providers/provider.ts'
import { createProviders } from './providers/providers.ts'
import { readSignInSettings } from './providers/settings.ts'
import { signInRoutes } from './routes.ts'
import { createSealedTokens } from './sealed-token.ts'
import { createSessionCallers } from './session-callers.ts'
import { createSessions } from './sessions.ts'
import { openSso } from './sso/sso.ts'
import { createAccessTokens } from './tokens/access-tokens.ts'
import { createRefreshTokens } from './tokens/refresh-tokens.ts'
import { openSigningKeys } from './tokens/signing-keys.ts'

export interface SignInOptions {
  /** where people reach the gateway: issuer of the tokens, origin of the pages */
  readonly publicUrl: string
  readonly tokenSecret: string
  /** identity providers; see providers/settings.ts */
  readonly providersFile: string | undefined
  readonly smtpUrl: string | undefined
  readonly mailFrom: string
  readonly returnTo: readonly string[]
  /** where identity providers that tenants name may be */
  readonly egress: EgressRules
  /** where their secrets are, when the file says `env:` */
  readonly env: Readonly<Record<string, string | undefined>>
  /** for what is the installation's: the keys that sign */
  readonly pool: Pool
  readonly reads: Reads
  /** what the log says of sessions */
  readonly rights: Pick<Rights, 'ended' | 'isFollowed'>
  readonly kms: Kms
  readonly identity: IdentityCommands
  readonly personalData: PersonalData
  /** undefined: attempts are counted in this process */
  readonly redisUrl: string | undefined
  readonly redisPrefix: string
  readonly ids: IdSource
  readonly nowMs: () => number
  readonly onNotice: (message: string, error: unknown) => void
}

const sessionMs = 30 * 86_400_000
const transaction = providerSecrets.extend({ provider: z.string(), returnTo: z.string() })

export type SignIn = Awaited<ReturnType<typeof openSignIn>>

/**
 * Puts sign-in together: its routes, and who a person's request comes from.
 * @throws OmiumError `settings_invalid`; what the database or the key management throws
 */
export const openSignIn = async (options: SignInOptions) => {
  const { publicUrl, tokenSecret, pool, kms, identity, personalData, ids, nowMs, onNotice } = options
  const { origin, pathname, protocol } = new URL(publicUrl)
  const providers = createProviders(readSignInSettings(options.providersFile), {
    env: options.env,
    nowMs,
    timeoutMs: 10_000,
  })
  const used = providers.size > 0 || options.smtpUrl !== undefined
  if (used && (pathname !== '/' || (protocol !== 'https:' && !isLoopback(publicUrl))))
    throw new OmiumError(
      'settings_invalid',
      'OMIUM_URL: sign-in needs an https address without a path, or this machine',
    )
  const keys = await openSigningKeys(pool, kms, nowMs, onNotice)
  const access = createAccessTokens(origin, keys, nowMs)
  const refresh = createRefreshTokens(derivedKey(tokenSecret, 'refresh-token'))
  const reads = createIdentityReads(options.reads)
  const cookies = createCookies(origin)
  const callers = createSessionCallers({
    access,
    cookies,
    publicOrigin: origin,
    session: reads.session,
    ended: options.rights.ended,
    isFollowed: options.rights.isFollowed,
    nowMs,
  })
  const mailer = options.smtpUrl === undefined ? undefined : createSmtpMailer(options.smtpUrl, options.mailFrom)
  const limits = options.redisUrl
    ? createRedisAttemptLimits(options.redisUrl, options.redisPrefix, onNotice)
    : createLocalAttemptLimits(nowMs)
  const sessions = createSessions({ identity, reads, access, refresh, ids, nowMs, sessionMs })
  const webAuthn = createWebAuthn(origin)
  const accounts = createAccounts({ identity, reads, personalData, ids })
  const { egress } = options
  const sso = openSso({ publicUrl: origin, tokenSecret, identity, reads, accounts, personalData, egress, ids, nowMs })
  const routes = signInRoutes({
    publicUrl: origin,
    accounts,
    sso,
    sessions,
    magicLinks: mailer && createMagicLinks({ identity, mailer, tokenSecret, publicUrl: origin, ids, nowMs, onNotice }),
    deviceGrants: createDeviceGrants({ identity, reads, tokenSecret, ids, nowMs }),
    providers,
    transactions: createSealedTokens(derivedKey(tokenSecret, 'provider-transaction'), transaction, nowMs),
    factors: createSecondFactors({ identity, reads, sessions, personalData, limits, webAuthn, nowMs }),
    webAuthn,
    ceremonies: createCeremonies(tokenSecret, nowMs),
    pending: createPendingSignIns(tokenSecret, nowMs),
    callers,
    cookies,
    keys,
    limits,
    personalData,
    reads,
    ids,
    nowMs,
    returnTo: options.returnTo,
  })
  return {
    routes,
    callers,
    /** of whatever else the installation signs */
    signatures: { issuer: origin, keys },
    /** @returns where a trial of a connection begins, for whoever asked for it; a path and its query */
    testOf: sso.testOf,
    /** reads what identity providers say about themselves */
    idpMetadata: sso.metadata,
    publicUrl: origin,
    close: () => {
      keys.close()
      limits.close()
      sso.close()
      mailer?.close()
      for (const provider of providers.values()) provider.close()
    },
  }
}
