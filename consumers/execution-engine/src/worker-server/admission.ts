import type { AcceptedEvent } from '@omium/log'
import { type EventEnvelope, OmiumError, parseAggregateKey } from '@omium/schemas'
import { isServiceToken, serviceTokenMs, type VerifiedServiceToken, verifyWorkerToken } from '@omium/worker-tokens'

/**
 * Who may connect to this engine, and whether they still may.
 *
 * 1. A worker shows a worker token (of `POST /v1/workers/connect`) or a service token for the audience `engine`. Both live for some
 *    minutes and are in the name of an API key, or of a person's session.
 * 2. What the log says of keys, members and sessions ends what was issued before it: tokens are refused, and connections that were
 *    opened with them are closed. A token that was issued afterwards stands, since a gateway had looked.
 * 3. Only revocations as young as a token can be are kept.
 */
export interface Admitted {
  readonly tenant: string
  /** `key:<id>` or `user:<id>` */
  readonly actor: string
  /** ms */
  readonly issuedAt: number
  readonly session: string | undefined
}

export interface AdmissionOptions {
  readonly tokenSecret: string
  readonly verifyService: (token: string) => Promise<VerifiedServiceToken>
  readonly nowMs: () => number
}

export interface Admission {
  /** at once for worker tokens, which need nobody. @throws OmiumError `unauthenticated`, `forbidden` */
  admit(token: string): Admitted | Promise<Admitted>
  isVoid(admitted: Admitted): boolean
  /** which events of the identity context it needs to hear of */
  wants(envelope: EventEnvelope): boolean
  observe(event: AcceptedEvent): void
  /** called after each revocation */
  onRevoked(listener: () => void): void
}

const relevant = new Set(['ApiKeyRevoked', 'MemberRemoved', 'MemberRoleChanged', 'SessionEnded', 'SsoRequired'])
/** longer than a token lives, clocks included */
const keptMs = 2 * serviceTokenMs
const sweepAbove = 1_000

/** Of whom an event says that what they had does not count any more. */
const revokedBy = ({ envelope, type, data }: AcceptedEvent): string => {
  const { userId, sessionId } = data as { userId?: string; sessionId?: string }
  if (type === 'SessionEnded') return `session:${sessionId}`
  if (type === 'ApiKeyRevoked') return `${envelope.tenant}/key:${parseAggregateKey(envelope.aggregate)?.id}`
  // whoever came another way gets no new token; the others come back at once
  if (type === 'SsoRequired') return `${envelope.tenant}/people`
  return `${envelope.tenant}/user:${userId}`
}

export const createAdmission = ({ tokenSecret, verifyService, nowMs }: AdmissionOptions): Admission => {
  /** when, ms */
  const revoked = new Map<string, number>()
  const listeners: (() => void)[] = []

  const isVoid = ({ tenant, actor, session, issuedAt }: Admitted): boolean =>
    [`${tenant}/${actor}`, `session:${session}`, session && `${tenant}/people`].some(
      (name) => (revoked.get(name ?? '') ?? 0) > issuedAt,
    )
  const checked = (admitted: Admitted): Admitted => {
    if (isVoid(admitted)) throw new OmiumError('unauthenticated', 'what the token stands for was revoked')
    return admitted
  }
  const admitService = async (token: string): Promise<Admitted> => {
    const { tenant, source, permissions, issuedAt } = await verifyService(token)
    if (!permissions.includes('workers:connect'))
      throw new OmiumError('forbidden', 'the service token lacks the permission workers:connect')
    return checked(
      'key' in source
        ? { tenant, actor: `key:${source.key}`, issuedAt, session: undefined }
        : { tenant, actor: `user:${source.user}`, issuedAt, session: source.session },
    )
  }
  return {
    admit: (token) => {
      if (isServiceToken(token)) return admitService(token)
      const {
        tenant,
        keyId,
        actor = `key:${keyId}`,
        session,
        expiresAt,
      } = verifyWorkerToken(tokenSecret, token, nowMs())
      return checked({ tenant, actor, session, issuedAt: expiresAt - serviceTokenMs })
    },
    isVoid,
    wants: ({ type, time }) => relevant.has(type) && time > nowMs() - keptMs,
    observe: (event) => {
      revoked.set(revokedBy(event), event.envelope.time)
      if (revoked.size > sweepAbove) for (const [name, at] of revoked) if (at < nowMs() - keptMs) revoked.delete(name)
      for (const listener of listeners) listener()
    },
    onRevoked: (listener) => void listeners.push(listener),
  }
}
