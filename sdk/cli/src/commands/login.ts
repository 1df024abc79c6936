import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { OmiumError } from '@omium/schemas'
import { omium } from '@omium/sdk'
import type { Command } from 'commander'
import { z } from 'zod'
import { clientOf, connectionOf, urlToSignInAt } from '../connection.ts'
import { type Credential, changeContexts, checkContextName } from '../contexts/contexts.ts'
import { askGateway, sessionOf } from '../contexts/session.ts'
import { Interrupted, UsageError } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { show } from '../output.ts'

interface Flags {
  json?: boolean
}

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

const loopback = new Set(['127.0.0.1', 'localhost', '[::1]'])

/** @throws UsageError for an address over which secrets would travel readable */
export const checkUrl = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['http:', 'https:'].includes(url.protocol)) throw new UsageError(`${text} is not an http(s) URL`)
  if (url.protocol === 'http:' && !loopback.has(url.hostname))
    throw new UsageError(`${text} is not encrypted: use https, http is for this machine only`)
  return text.replace(/\/+$/, '')
}

/** A secret from a person without an echo, or from standard input; never from the command line, which others can read. */
export const readSecret = async (io: Io, what: string): Promise<string> => {
  if (!io.interactive) return (await io.readStdin()).trim()
  const { isCancel, password } = await import('@clack/prompts')
  const given = await password({ message: what })
  if (isCancel(given)) throw new UsageError('nothing was given')
  return given.trim()
}

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

/** Asks, shows the code, and waits until a person has decided. */
const signInByDevice = async (io: Io, url: string, browser: boolean): Promise<Credential> => {
  const answer = await askGateway(url, '/auth/device', { client_id: clientId }, io.interrupted)
  const asked = requested.parse('ok' in answer ? answer.ok : undefined)
  io.err(`Open ${asked.verification_uri} and type the code ${asked.user_code}`)
  if (browser && io.interactive) openBrowser(asked.verification_uri)
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
      return sessionOf({ accessToken: access_token, refreshToken: refresh_token, expiresIn: expires_in }, Date.now())
    }
    if (polled.refused === 'slow_down') interval += slowerBy
    else if (polled.refused !== 'authorization_pending') throw new OmiumError('sign_in_refused', polled.detail)
  }
  throw new OmiumError('timeout', 'nobody has decided in time: begin again')
}

/** Keeps what opens a platform under a name, after having seen that it does. @returns what is known of it */
export const keepContext = async (io: Io, name: string, url: string, credential: Credential) => {
  const opens =
    credential.kind === 'key' ? { apiKey: credential.apiKey } : { accessToken: async () => credential.accessToken }
  const { tenant, actor } = await omium({ url, ...opens }).me()
  await changeContexts(io, (contexts) => {
    const modelsUrl = contexts.contexts[name]?.modelsUrl
    contexts.contexts[name] = { url, tenant, credential, ...(modelsUrl && { modelsUrl }) }
    contexts.current = name
  })
  return { context: name, url, tenant, actor }
}

interface LoginFlags extends Flags {
  key?: boolean
  name?: string
  browser: boolean
}

const addLogin = (program: Command, io: Io): void => {
  program
    .command('login')
    .description('sign in: in a browser, on this machine or on another one, or with an API key')
    .argument('[url]', 'of the platform; the context in force, or the local stack, unless given')
    .option('--key', 'with an API key, from a prompt or from standard input')
    .option('--name <context>', 'under which it is kept; the host unless given')
    .option('--no-browser', 'only print the address')
    .option('--json', 'one JSON document')
    .action(async (given: string | undefined, { key, name, browser, json }: LoginFlags) => {
      const url = checkUrl(given ?? urlToSignInAt(io))
      const kept = checkContextName(name ?? (io.env['OMIUM_CONTEXT'] || new URL(url).host))
      const credential: Credential = key
        ? { kind: 'key', apiKey: await readSecret(io, 'API key') }
        : await signInByDevice(io, url, browser)
      if (credential.kind === 'key' && credential.apiKey === '') throw new UsageError('no API key was given')
      const known = await keepContext(io, kept, url, credential)
      show(io, json, known, () => `${known.actor} is signed in to ${url}, in ${known.tenant} (context ${kept})`)
    })
}

const addLogout = (program: Command, io: Io): void => {
  program
    .command('logout')
    .description('end the session, and forget the context in force')
    .option('--json', 'one JSON document')
    .action(async ({ json }: Flags) => {
      const { from, name } = connectionOf(io)
      if (from !== 'context' || name === undefined) throw new UsageError('nobody is signed in')
      const told = await clientOf(io)
        .request('POST', '/auth/sign-out', { body: {} })
        .then(() => true)
        .catch((error: unknown) => {
          if (!(error instanceof OmiumError)) throw error
          return error.code === 'session_ended' || error.code === 'unauthenticated'
        })
      await changeContexts(io, (contexts) => {
        delete contexts.contexts[name]
        if (contexts.current === name) delete contexts.current
      })
      if (!told) io.err('the platform could not be told: end the session there, in the list of sessions')
      show(io, json, { context: name, ended: told }, () => `${name} is forgotten`)
    })
}

const addWhoami = (program: Command, io: Io): void => {
  program
    .command('whoami')
    .description('who asks, where, and what they may do')
    .option('--json', 'one JSON document')
    .action(async ({ json }: Flags) => {
      const { from, name, options } = connectionOf(io)
      const me = await clientOf(io).me()
      const known = { ...me, url: options.url, from, ...(name !== undefined && { context: name }) }
      show(io, json, known, () =>
        [
          ['who', me.actor],
          ['role', me.role],
          ['tenant', me.tenant],
          ['url', options.url],
          ['from', name ?? from],
          ['may', me.permissions.join(', ')],
        ]
          .flatMap(([what, value]) => (value ? [`${what?.padEnd(8)}${value}`] : []))
          .join('\n'),
      )
    })
}

export const addLoginCommands = (program: Command, io: Io): void => {
  addLogin(program, io)
  addLogout(program, io)
  addWhoami(program, io)
}
