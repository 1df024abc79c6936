import { OmiumError, problem } from '@omium/schemas'
import { z } from 'zod'
import type { Io } from '../io.ts'
import { type Context, type Credential, changeContexts, readContexts } from './contexts.ts'

/** a token is refreshed when it has less than this to live, ms */
const marginMs = 45_000
const timeoutMs = 30_000

/** Tokens as the gateway gives them. */
export const sessionTokens = z.object({ accessToken: z.string(), refreshToken: z.string(), expiresIn: z.number() })
export type SessionTokens = z.infer<typeof sessionTokens>
const refusal = z.object({ error: z.string(), error_description: z.string() })

/** What a request without credentials was answered. */
export type Answer = { readonly ok: unknown } | { readonly refused: string; readonly detail: string }

/**
 * Asks the gateway for something about sessions.
 * @param token of a session; absent: there is none yet
 * @throws OmiumError `unavailable`, or the gateway's problem
 */
export const askGateway = async (
  url: string,
  path: string,
  body: Readonly<Record<string, string>>,
  signal: AbortSignal,
  token?: string,
): Promise<Answer> => {
  let response: Response
  try {
    response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    })
  } catch (cause) {
    const { code } = ((cause as Error).cause ?? {}) as { code?: string }
    throw new OmiumError('unavailable', `${url} cannot be reached${code === undefined ? '' : `: ${code}`}`, { cause })
  }
  const answer: unknown = await response.json().catch(() => undefined)
  if (response.ok) return { ok: answer }
  const { data: oauth } = refusal.safeParse(answer)
  if (oauth) return { refused: oauth.error, detail: oauth.error_description }
  const { data } = problem.safeParse(answer)
  if (data) throw new OmiumError(data.code as OmiumError['code'], data.detail, { retryable: data.retryable })
  throw new OmiumError('unavailable', `${url}${path} answers ${response.status} and is not the gateway`)
}

/** Tokens as the gateway gives them, as they are kept. */
export const sessionOf = (tokens: SessionTokens, nowMs: number): Credential => ({
  kind: 'session',
  accessToken: tokens.accessToken,
  refreshToken: tokens.refreshToken,
  expiresAt: nowMs + tokens.expiresIn * 1000,
})

/** Goes on with other tokens of a context's session. @returns the access token */
export const keepTokens = async (io: Io, name: string, tokens: SessionTokens): Promise<string> => {
  await changeContexts(io, ({ contexts }) => {
    const context = contexts[name]
    if (context) context.credential = sessionOf(tokens, Date.now())
  })
  return tokens.accessToken
}

const isFresh = (credential: Credential): boolean =>
  credential.kind === 'key' || credential.expiresAt - Date.now() > marginMs

/**
 * A token of the context's session that lives for a while, refreshed when it has to be: by one process at a time, as a refresh
 * token that is used twice ends the session.
 * @throws OmiumError `session_ended`
 */
export const accessTokenOf = async (io: Io, name: string): Promise<string> => {
  const known = readContexts(io).contexts[name]
  if (known?.credential.kind === 'session' && isFresh(known.credential)) return known.credential.accessToken
  return changeContexts(io, async ({ contexts }) => {
    const context = contexts[name]
    if (context?.credential.kind !== 'session') throw ended(name)
    if (!isFresh(context.credential)) context.credential = await refresh(io, name, context, context.credential)
    return context.credential.accessToken
  })
}

const ended = (name: string) =>
  new OmiumError('session_ended', `the session of the context ${name} has ended: omium login --context ${name}`)

type Session = Extract<Credential, { kind: 'session' }>

const refresh = async (io: Io, name: string, { url }: Context, { refreshToken }: Session): Promise<Session> => {
  try {
    const answer = await askGateway(url, '/auth/refresh', { refreshToken }, io.interrupted)
    return sessionOf(sessionTokens.parse('ok' in answer ? answer.ok : undefined), Date.now()) as Session
  } catch (error) {
    const over =
      error instanceof OmiumError && ['session_ended', 'refresh_reused', 'unauthenticated'].includes(error.code)
    throw over ? ended(name) : error
  }
}
