import { OmiumError } from '@omium/schemas'
import type { onRequestAsyncHookHandler } from 'fastify'
import { requireSameOrigin } from './origin.ts'
import { setTokens, wantsHtml } from './routes/answers.ts'
import type { SignInServices } from './services.ts'

/**
 * Access tokens live for minutes, sessions for weeks: whoever comes back to a page with a session of theirs is still in. The
 * session is refreshed and the request sent once more, as it was (307). The refresh token comes along only when one of our own
 * pages, or nobody, led here (`SameSite=Strict`), so no other site renews anything. Programs, and pages that speak JSON, refresh
 * by themselves.
 */
export const renewal =
  ({ publicUrl, callers, cookies, sessions }: SignInServices): onRequestAsyncHookHandler =>
  async (request, reply) => {
    const { headers, method, url, id } = request
    if (headers.authorization !== undefined || !wantsHtml(request) || !isPersonal(url)) return
    const token = cookies.read(headers.cookie, 'refresh')
    if (!token || cookies.read(headers.cookie, 'pending')) return
    if (method !== 'GET') requireSameOrigin(headers, publicUrl)
    if (await callers.callerOf(headers, method)) return
    try {
      setTokens(cookies, reply, await sessions.refresh(token, id))
    } catch (error) {
      if (!(error instanceof OmiumError) || error.retryable) throw error
      // it has ended: they go on as somebody who is not in
      cookies.clear(reply, 'access', 'refresh')
      return
    }
    return reply.redirect(url, 307)
  }

/** Pages of somebody who is in. */
const isPersonal = (url: string): boolean =>
  /^\/auth\/(session|sessions|device|factors|mfa|recovery-codes|sign-out-everywhere)([/?]|$)/.test(url)
