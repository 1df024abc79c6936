import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { OmiumError } from '@omium/schemas'
import { z } from 'zod'
import { Interrupted } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { askGateway, type SessionTokens } from './session.ts'

const clientId = 'omium-cli'
const grantType = 'urn:ietf:params:oauth:grant-type:device_code'
/** what `slow_down` adds to the interval (RFC 8628, 3.5), seconds */
const slowerBy = 5

const requested = z.object({
  device_code: z.string(),
  user_code: z.string(),
  verification_uri: z.url({ protocol: /^https?$/ }),
  expires_in: z.number().positive(),
  interval: z.number().positive().default(5),
})
const granted = z.object({ access_token: z.string(), refresh_token: z.string(), expires_in: z.number() })

const openers: Readonly<Record<string, readonly [string, ...string[]]>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
}

/** Tries to show a page to whoever sits here; the URL has been printed, so nothing depends on it. */
const openBrowser = (url: string): void => {
  const [command, ...args] = openers[process.platform] ?? ['xdg-open']
  const child = spawn(command, [...args, url], { stdio: 'ignore', detached: true })
  child.once('error', () => undefined)
  child.unref()
}

export interface DeviceSignIn {
  /** whether to show the page to whoever sits here */
  readonly browser: boolean
  /** the person is to prove who they are, also if they are signed in there */
  readonly fresh?: boolean
}

/** Asks for a session, shows the code, and waits until a person has decided. @throws OmiumError `sign_in_refused`, `timeout` */
export const signInByDevice = async (
  io: Io,
  url: string,
  { browser, fresh = false }: DeviceSignIn,
): Promise<SessionTokens> => {
  const answer = await askGateway(url, '/auth/device', { client_id: clientId }, io.interrupted)
  const asked = requested.parse('ok' in answer ? answer.ok : undefined)
  const page = `${asked.verification_uri}${fresh ? '?fresh=true' : ''}`
  io.err(`Open ${page} and type the code ${asked.user_code}`)
  if (browser && io.interactive && !io.typed) openBrowser(page)
  const deadline = performance.now() + asked.expires_in * 1000
  let interval = asked.interval
  while (performance.now() < deadline) {
    await delay(interval * 1000, undefined, { signal: io.interrupted }).catch(() => {
      throw new Interrupted('nobody was signed in')
    })
    const body = { grant_type: grantType, client_id: clientId, device_code: asked.device_code }
    const polled = await askGateway(url, '/auth/token', body, io.interrupted).catch((error: unknown) => {
      // the code stays good while the network comes and goes
      if (error instanceof OmiumError && error.retryable) return { refused: 'authorization_pending', detail: '' }
      throw error
    })
    if ('ok' in polled) {
      const { access_token, refresh_token, expires_in } = granted.parse(polled.ok)
      return { accessToken: access_token, refreshToken: refresh_token, expiresIn: expires_in }
    }
    if (polled.refused === 'slow_down') interval += slowerBy
    else if (polled.refused !== 'authorization_pending') throw new OmiumError('sign_in_refused', polled.detail)
  }
  throw new OmiumError('timeout', 'nobody has decided in time: begin again')
}
