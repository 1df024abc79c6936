import { OmiumError, problem } from '@omium/schemas'
import { type Client, omium } from '@omium/sdk'
import { z } from 'zod'
import { UsageError } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { readLine } from '../prompts.ts'
import { signInByDevice } from './device.ts'
import { accessTokenOf, askGateway, keepTokens, type SessionTokens, sessionTokens } from './session.ts'

/**
 * Proving again who one is, in the midst of a command.
 *
 * 1. A request that is refused for want of a fresh proof is sent once more, as it was, with the tokens of the proof.
 * 2. Who has an authenticator app types its code here; everybody else proves it in a browser and lets this program in anew.
 * 3. What comes back is a session of the same person, in the same tenant, or it is ended and the command with it.
 * 4. Where nobody can be asked, the refusal stands.
 */
const codeTries = 3

/** `fetch` for the session of a context. */
export const provingFetch =
  (io: Io, name: string, url: string): typeof fetch =>
  async (input, init) => {
    const response = await fetch(input, init)
    const accepts = io.interactive && response.status === 401 ? await acceptedBy(response) : undefined
    if (!accepts) return response
    const token = await prove(io, name, url, accepts)
    const headers = new Headers(init?.headers)
    headers.set('authorization', `Bearer ${token}`)
    return fetch(input, { ...init, headers })
  }

const prove = async (io: Io, name: string, url: string, accepts: readonly string[]): Promise<string> => {
  try {
    return (await proveByCode(io, name, url, accepts)) ?? (await proveByBrowser(io, name, url))
  } catch (cause) {
    // what the client takes for a refusal, and does not try again
    throw cause instanceof OmiumError ? cause : new OmiumError('step_up_required', (cause as Error).message, { cause })
  }
}

/** What would prove enough, if that is what is missing. */
const acceptedBy = async (response: Response): Promise<readonly string[] | undefined> => {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  const { data } = problem.safeParse(body)
  return data?.code === 'step_up_required' ? data.accepts : undefined
}

/** @returns undefined: they would rather go to the browser, or have no app */
const proveByCode = async (
  io: Io,
  name: string,
  url: string,
  accepts: readonly string[],
): Promise<string | undefined> => {
  if (!accepts.includes('totp')) return undefined
  for (let tries = 0; tries < codeTries; tries++) {
    const code = await readLine(io, 'Code of your authenticator app, or a recovery code (nothing: in the browser)')
    if (code === '') return undefined
    try {
      const token = await accessTokenOf(io, name)
      const answer = await askGateway(url, '/auth/mfa/code', { code }, io.interrupted, token)
      return await keepTokens(io, name, sessionTokens.parse('ok' in answer ? answer.ok : undefined))
    } catch (error) {
      if (!(error instanceof OmiumError) || !error.code.startsWith('factor_')) throw error
      io.err(error.message)
    }
  }
  return undefined
}

const session = z.object({ userId: z.string(), sessionId: z.string(), tenant: z.string() })
const withTokens = (url: string, { accessToken }: { accessToken: string }): Client =>
  omium({ url, accessToken: async () => accessToken })
const sessionBehind = async (client: Client) => session.parse(await client.request('GET', '/auth/session'))

const proveByBrowser = async (io: Io, name: string, url: string): Promise<string> => {
  io.err('This needs a fresh proof of who you are.')
  const before = await sessionBehind(withTokens(url, { accessToken: await accessTokenOf(io, name) }))
  let tokens: SessionTokens = await signInByDevice(io, url, { browser: true, fresh: true })
  const proved = withTokens(url, tokens)
  const after = await sessionBehind(proved)
  if (after.userId !== before.userId) {
    await proved.request('POST', '/auth/sign-out', { body: {} })
    throw new UsageError('somebody else than the user of this context has let this program in: nothing was done')
  }
  if (after.tenant !== before.tenant) {
    const switched = await proved.request('POST', '/auth/switch-tenant', { body: { tenant: before.tenant } })
    tokens = sessionTokens.parse(switched)
  }
  const kept = await keepTokens(io, name, tokens)
  // the new session stands in for it; where that fails it ends by itself
  await withTokens(url, tokens)
    .request('DELETE', `/auth/sessions/${before.sessionId}`)
    .catch(() => undefined)
  return kept
}
