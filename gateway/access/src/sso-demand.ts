import type { SsoDemand } from '@omium/projection-identity'
import { OmiumError, parseSsoIssuer, type Role } from '@omium/schemas'
import type { SessionCaller } from './caller.ts'

/**
 * "SSO only": a member whose address is in a domain of the tenant acts in it with a session that came through one of its active
 * connections. Owners have one way besides, for the day on which the identity provider is down: a session in which a second factor of this platform was proved.
 * @throws OmiumError `sso_required`
 */
export const requireOwnSignIn = (
  { connections }: SsoDemand,
  { tenant, login, mfaAt }: Pick<SessionCaller, 'tenant' | 'login' | 'mfaAt'>,
  role: Role,
): void => {
  const through = parseSsoIssuer(login?.issuer ?? '')
  if (through?.tenant === tenant && connections.includes(through.connection)) return
  if (role === 'owner' && mfaAt !== undefined) return
  const [connection] = connections
  throw new OmiumError(
    'sso_required',
    connection === undefined
      ? 'this tenant is used through its own identity provider only, and that is switched off: an owner has to sign in with a second factor'
      : `this tenant is used through its own identity provider only: sign in at /auth/sso/${connection}/start`,
    { data: { ...(connection !== undefined && { signIn: `/auth/sso/${connection}/start` }) } },
  )
}
