import type { PersonalData } from '@omium/personal-data'
import { createSafeFetch, type EgressRules } from '@omium/safe-fetch'
import { aggregateKey, callerId, type IdSource, ssoConnectionId } from '@omium/schemas'
import { z } from 'zod'
import type { Accounts } from '../accounts.ts'
import { derivedKey } from '../derived-keys.ts'
import type { IdentityCommands, IdentityReads } from '../ports.ts'
import { providerSecrets } from '../providers/provider.ts'
import { createSealedTokens, type SealedTokens } from '../sealed-token.ts'
import { type Admission, createAdmission } from './admission.ts'
import { createSsoConnections, type SsoConnections } from './connections.ts'
import { createIdpMetadataReader, type IdpMetadataReader } from './idp-metadata.ts'
import { outgoingTo } from './outgoing.ts'

/** Who tries a connection, without signing in. */
const trialOf = z.object({ connection: ssoConnectionId, tenant: callerId, actor: z.string() })
export type TrialOf = z.infer<typeof trialOf>

const ssoTransaction = z.object({
  connection: ssoConnectionId,
  returnTo: z.string(),
  secrets: z.union([z.object({ oidc: providerSecrets }), z.object({ saml: z.object({ requestId: z.string() }) })]),
  trial: trialOf.optional(),
})
/** A sign-in through a connection that is under way, kept in a cookie of the browser that began it. */
export type SsoTransaction = z.infer<typeof ssoTransaction>

/** Enterprise sign-in, as the routes work with it. */
export interface Sso {
  readonly connections: SsoConnections
  readonly admission: Admission
  readonly metadata: IdpMetadataReader
  readonly transactions: SealedTokens<SsoTransaction>
  readonly trials: SealedTokens<TrialOf>
  /** @returns where a trial begins, a path and its query, and how long it is good */
  testOf(trial: TrialOf): Promise<{ readonly path: string; readonly livesMs: number }>
  /** How a trial ended, for those who look at the connection. */
  recordTrial(trial: TrialOf, outcome: string, correlationId: string): Promise<void>
  close(): void
}

export interface SsoOptions {
  readonly publicUrl: string
  readonly tokenSecret: string
  readonly identity: IdentityCommands
  readonly reads: IdentityReads
  readonly accounts: Accounts
  readonly personalData: PersonalData
  readonly egress: EgressRules
  readonly ids: IdSource
  readonly nowMs: () => number
}

const trialMs = 10 * 60_000

export const openSso = (options: SsoOptions): Sso => {
  const { publicUrl, tokenSecret, identity, reads, accounts, personalData, egress, ids, nowMs } = options
  const safeFetch = createSafeFetch(egress)
  const fetch = outgoingTo(safeFetch)
  const connections = createSsoConnections({ publicUrl, reads, personalData, fetch, plainHttp: egress.http, nowMs })
  const metadata = createIdpMetadataReader(safeFetch, nowMs)
  const trials = createSealedTokens(derivedKey(tokenSecret, 'sso-test'), trialOf, nowMs)
  return {
    connections,
    metadata,
    admission: createAdmission({ identity, reads, accounts, personalData, ids }),
    transactions: createSealedTokens(derivedKey(tokenSecret, 'sso-transaction'), ssoTransaction, nowMs),
    trials,
    testOf: async (trial) => {
      const token = await trials.seal(trial, trialMs)
      return { path: `/auth/sso/${trial.connection}/test?token=${token}`, livesMs: trialMs }
    },
    recordTrial: async ({ connection, tenant, actor }, outcome, correlationId) => {
      await identity.execute(
        { tenant, actor, correlationId },
        aggregateKey('sso_connection', tenant, connection),
        ids('command'),
        { type: 'RecordSsoTest', data: { outcome } },
      )
    },
    close: () => {
      connections.close()
      metadata.close()
    },
  }
}
