import { createHmac, randomBytes } from 'node:crypto'
import type { Mailer } from '@omium/mail'
import { aggregateKey, callerId, emailAddress, type IdSource, platformTenant } from '@omium/schemas'
import { z } from 'zod'
import { derivedKey } from './derived-keys.ts'
import { derivedId } from './identifiers.ts'
import type { IdentityCommands } from './ports.ts'
import type { Account } from './providers/provider.ts'
import { createSealedTokens } from './sealed-token.ts'
import { signInMail } from './sign-in-mail.ts'

/**
 * Links that sign in, by mail.
 *
 * 1. Whoever asks, for whatever address, gets the same answer after the same work: nothing is looked up, and the mail goes out
 *    behind the answer. So nobody learns here who is a user.
 * 2. A link opens one session, ever, in the browser that asked for it: the log decides. Clicking twice opens the same session.
 * 3. The address travels encrypted in the link: neither the log nor the database knows who asked.
 */
export interface MagicLinks {
  /**
   * Issues a link and sends it.
   * @param browser the secret of the browser's cookie
   */
  send(request: { email: string; returnTo: string; browser: string; correlationId: string }): Promise<void>
  /**
   * @returns whom the link signs in, and the id that its session always has
   * @throws OmiumError `magic_link_unusable`, `magic_link_other_browser`, `sign_in_expired`
   */
  open(token: string, browser: string, correlationId: string): Promise<OpenedLink>
}

export interface OpenedLink {
  readonly account: Account
  readonly sessionId: string
  readonly returnTo: string
}

export const magicLinkMs = 10 * 60_000

const content = z.object({
  linkId: callerId,
  secret: z.string(),
  email: emailAddress,
  returnTo: z.string(),
})

export interface MagicLinksOptions {
  readonly identity: IdentityCommands
  readonly mailer: Mailer
  readonly tokenSecret: string
  readonly publicUrl: string
  readonly ids: IdSource
  readonly nowMs: () => number
  readonly onNotice: (message: string, error: unknown) => void
}

export const createMagicLinks = (options: MagicLinksOptions): MagicLinks => {
  const { identity, mailer, tokenSecret, publicUrl, ids, nowMs, onNotice } = options
  const tokens = createSealedTokens(derivedKey(tokenSecret, 'magic-link'), content, nowMs)
  const secretKey = derivedKey(tokenSecret, 'magic-link-secret')
  const digest = (kind: 'secret' | 'browser', value: string): string =>
    createHmac('sha256', secretKey).update(`${kind}:${value}`).digest('hex')
  const keyOf = (linkId: string): string => aggregateKey('magic_link', platformTenant, linkId)
  const askerOf = (correlationId: string) => ({ tenant: platformTenant, actor: 'sign-in', correlationId })

  return {
    send: async ({ email, returnTo, browser, correlationId }) => {
      const linkId = ids('magicLink')
      const secret = randomBytes(32).toString('base64url')
      await identity.execute(askerOf(correlationId), keyOf(linkId), ids('command'), {
        type: 'IssueMagicLink',
        data: {
          secret: digest('secret', secret),
          browser: digest('browser', browser),
          expiresAt: nowMs() + magicLinkMs,
        },
      })
      const token = await tokens.seal({ linkId, secret, email, returnTo }, magicLinkMs)
      const url = new URL(`/auth/magic-links/open?token=${token}`, publicUrl)
      mailer.send(signInMail(email, url.href)).catch((error: unknown) => onNotice('a sign-in mail was not sent', error))
    },
    open: async (token, browser, correlationId) => {
      const { linkId, secret, email, returnTo } = await tokens.open(token)
      const data = { secret: digest('secret', secret), browser: digest('browser', browser) }
      // the same link in the same browser is the same command: a second click is answered as the first was
      const commandId = derivedId('command', 'open', linkId, data.secret, data.browser)
      await identity.execute(askerOf(correlationId), keyOf(linkId), commandId, { type: 'UseMagicLink', data })
      return {
        account: {
          method: 'magic_link',
          issuer: publicUrl,
          subject: email,
          email,
          name: undefined,
          amr: ['email'],
          authenticatedAt: nowMs(),
        },
        sessionId: derivedId('session', linkId),
        returnTo,
      }
    },
  }
}
