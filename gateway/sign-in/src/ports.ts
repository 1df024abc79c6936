import type {
  DeviceGrantRecord,
  FactorRecord,
  MembershipRecord,
  SessionRecord,
  SsoConnectionRecord,
  UserRecord,
} from '@omium/projection-identity'
import type { IdentityContextCommand, Login } from '@omium/schemas'

/** What sign-in needs from outside. The gateway gives it; specs give the same over a log of their own. */

/** The identity context of the log, as the gateway takes part in it. */
export interface IdentityCommands {
  /**
   * Sends a command and waits for its outcome. The same id is decided once and answered with what was decided.
   * @throws OmiumError of the outcome's code when it was refused, `timeout` when there is none yet
   */
  execute(
    asker: { readonly tenant: string; readonly actor: string; readonly correlationId: string },
    aggregate: string,
    commandId: string,
    command: IdentityContextCommand,
  ): Promise<unknown>
  /** Waits, within a bound, until the reads hold what was answered about the aggregate. */
  untilCurrent(aggregate: string): Promise<void>
}

/** What the read model of the identity context knows; see there. */
export interface IdentityReads {
  userOfAddress(address: string): Promise<string | undefined>
  userOfLogin(login: Login): Promise<string | undefined>
  user(userId: string): Promise<UserRecord | undefined>
  memberships(userId: string): Promise<readonly MembershipRecord[]>
  /** undefined also for a session of somebody else */
  session(userId: string, sessionId: string): Promise<SessionRecord | undefined>
  sessions(userId: string): Promise<readonly SessionRecord[]>
  deviceGrant(id: string): Promise<DeviceGrantRecord | undefined>
  /** one that nobody has decided about, by the digest of its code */
  deviceGrantOfCode(code: string): Promise<DeviceGrantRecord | undefined>
  ssoConnection(id: string): Promise<SsoConnectionRecord | undefined>
  ssoConnectionOfDomain(domain: string): Promise<string | undefined>
  factors(userId: string): Promise<readonly FactorRecord[]>
  recoveryCodes(userId: string): Promise<readonly string[]>
}

/** Counts attempts, so that nobody can try for ever. */
export interface AttemptLimits {
  /** @throws OmiumError `rate_limited` when `key` has had its share, `unavailable` when nobody can count */
  take(key: string, limit: AttemptLimit): Promise<void>
  close(): void
}

export interface AttemptLimit {
  readonly attempts: number
  readonly withinMs: number
}
