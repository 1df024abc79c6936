import type { IdentityContextCommand, Login, Role } from '@omium/schemas'

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

export interface SessionRecord {
  readonly sessionId: string
  readonly userId: string
  readonly tenant: string
  readonly login: Login
  readonly amr: readonly string[]
  /** ms */
  readonly authenticatedAt: number
  readonly expiresAt: number
  readonly startedAt: number
  readonly refreshedAt: number
  readonly generation: number
  readonly client: 'browser' | 'cli'
  readonly ended: boolean
}

export interface UserRecord {
  readonly userId: string
  /** sealed */
  readonly email: string
  /** sealed */
  readonly name?: string | undefined
  readonly personalTenant?: { readonly id: string; readonly name: string } | undefined
  readonly erased: boolean
}

export interface MembershipRecord {
  readonly tenant: string
  readonly name: string
  readonly role: Role
}

/** What the read model of the identity context knows. */
export interface IdentityReads {
  userOfAddress(address: string): Promise<string | undefined>
  userOfLogin(login: Login): Promise<string | undefined>
  user(userId: string): Promise<UserRecord | undefined>
  /** oldest first */
  memberships(userId: string): Promise<readonly MembershipRecord[]>
  session(sessionId: string): Promise<SessionRecord | undefined>
  /** open ones, newest first */
  sessions(userId: string): Promise<readonly SessionRecord[]>
}

/** Personal data under the key of its subject, and digests by which equal values are found. */
export interface PersonalData {
  seal(subject: string, text: string): Promise<string>
  /** undefined once the subject's key was destroyed */
  open(sealed: string): Promise<string | undefined>
  /** HMAC-SHA-256, hex */
  digest(kind: string, value: string): string
}

/** Key management: wraps what may be stored only encrypted. */
export interface Kms {
  wrap(bytes: Uint8Array): Promise<Uint8Array>
  unwrap(wrapped: Uint8Array): Promise<Uint8Array>
}

export interface Mail {
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly html: string
}

export interface Mailer {
  /** resolves when a mail server has taken it */
  send(mail: Mail): Promise<void>
  close(): void
}

/** Counts attempts, so that nobody can try for ever. */
export interface AttemptLimits {
  /** @throws OmiumError `rate_limited` when `key` has had its share, `unavailable` when nobody can count */
  take(key: string, limit: AttemptLimit): Promise<void>
}

export interface AttemptLimit {
  readonly attempts: number
  readonly withinMs: number
}
