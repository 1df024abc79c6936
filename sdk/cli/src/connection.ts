import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { OmiumError } from '@omium/schemas'
import { type Client, type ConnectionOptions, omium } from '@omium/sdk'
import { z } from 'zod'
import { type Context, contextInForce } from './contexts/contexts.ts'
import { accessTokenOf } from './contexts/session.ts'
import { provingFetch } from './contexts/step-up.ts'
import { UsageError } from './exit-codes.ts'
import type { Io } from './io.ts'

const credentialsFile = z.object({ apiKey: z.string().min(1) })
const stateFile = z.object({ urls: z.record(z.string(), z.string()) })

/**
 * Whether a folder of this owner may say where requests go: one's own, or the system administrator's.
 * @param self undefined where there are no owners
 */
export const isTrusted = (owner: number, self: number | undefined): boolean =>
  self === undefined || owner === self || owner === 0

/**
 * The state folder of the nearest project: `OMIUM_HOME`, else `.omium` in this folder or the first above that has one. One that
 * belongs to somebody else (in a shared folder above, say) is none, unless it is named.
 */
export const nearestHome = ({ env, cwd }: Pick<Io, 'env' | 'cwd'>): string | undefined => {
  if (env['OMIUM_HOME']) return resolve(cwd, env['OMIUM_HOME'])
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const home = join(folder, '.omium')
    if (existsSync(home) && isTrusted(statSync(home).uid, process.getuid?.())) return home
    if (dirname(folder) === folder) return undefined
  }
}

const readJson = <T>(file: string, schema: z.ZodType<T>): T | undefined => {
  if (!existsSync(file)) return undefined
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause) {
    throw new OmiumError('settings_invalid', `${file} cannot be read as what it should be; is it damaged?`, { cause })
  }
}

/**
 * A URL of the local stack of the nearest project, while it runs. Local it has to be: a folder that came with somebody's files
 * would else say where keys are sent. @throws OmiumError `settings_invalid`
 */
const stackUrl = (home: string | undefined, name: string): string | undefined => {
  const file = home && join(home, 'run/state.json')
  const url = file && readJson(file, stateFile)?.urls[name]
  if (url === undefined || isThisMachine(url)) return url
  throw new OmiumError(
    'settings_invalid',
    `${file}: ${url} is not on this machine, where local stacks are; delete the file`,
  )
}

const isThisMachine = (url: string): boolean =>
  URL.canParse(url) && ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname)

/** What is known of where the platform is and what opens it, and from where that is known. */
export interface Connection {
  readonly from: 'environment' | 'context' | 'stack'
  /** of the context */
  readonly name?: string
  readonly options: ConnectionOptions
}

/**
 * The environment first (`OMIUM_URL`, `OMIUM_API_KEY`, `OMIUM_MODELS_URL`), then the context in force, then the local stack of
 * the nearest project. What opens a context is sent to no other URL than its own.
 * @throws OmiumError `settings_invalid` when nothing opens anything
 */
export const connectionOf = (io: Io): Connection => {
  const { OMIUM_URL: url, OMIUM_API_KEY: apiKey, OMIUM_MODELS_URL: modelsUrl } = io.env
  const given: ConnectionOptions = { ...(url && { url }), ...(modelsUrl && { modelsUrl }) }
  if (apiKey) return { from: 'environment', options: { ...inStack(io, given), apiKey } }
  const named = contextInForce(io)
  if (named) return ofContext(io, named, given)
  const home = nearestHome(io)
  const key = home && readJson(join(home, 'credentials.json'), credentialsFile)?.apiKey
  if (!key)
    throw new OmiumError(
      'settings_invalid',
      'no API key and nobody is signed in: omium login, set OMIUM_API_KEY, or start the local stack (omium dev) in this project',
    )
  return { from: 'stack', options: { ...inStack(io, given), apiKey: key } }
}

/** What is given, and for the rest where the local stack is. */
const inStack = (io: Io, given: ConnectionOptions = {}): ConnectionOptions => {
  const home = nearestHome(io)
  const url = given.url ?? stackUrl(home, 'gateway')
  const modelsUrl = given.modelsUrl ?? stackUrl(home, 'models')
  return { ...(url && { url }), ...(modelsUrl && { modelsUrl }) }
}

const ofContext = (
  io: Io,
  { name, context }: { name: string; context: Context },
  given: ConnectionOptions,
): Connection => {
  const { url, modelsUrl, credential } = context
  if (given.url !== undefined && originOf(given.url) !== originOf(url))
    throw new OmiumError(
      'settings_invalid',
      `OMIUM_URL is another platform than the context ${name}: set OMIUM_API_KEY too, or unset OMIUM_URL`,
    )
  const opens =
    credential.kind === 'key'
      ? { apiKey: credential.apiKey }
      : { accessToken: () => accessTokenOf(io, name), fetch: provingFetch(io, name, url) }
  return { from: 'context', name, options: { url, ...(modelsUrl && { modelsUrl }), ...given, ...opens } }
}

const originOf = (url: string): string => {
  try {
    return new URL(url).origin
  } catch {
    return url
  }
}

/** Where somebody signs in who does not say it: the context in force, else the local stack, else this machine. */
export const urlToSignInAt = (io: Io): string =>
  io.env['OMIUM_URL'] || contextInForce(io)?.context.url || inStack(io).url || 'http://localhost:8080'

/** The context of somebody who is signed in. @throws UsageError for keys, which are nobody */
export const signedInContext = (io: Io): string => {
  const { from, name, options } = connectionOf(io)
  if (from !== 'context' || name === undefined || !options.accessToken)
    throw new UsageError(
      `this is for people who are signed in: ${from === 'environment' ? 'unset OMIUM_API_KEY, which is nobody, then ' : ''}omium login`,
    )
  return name
}

export const clientOf = (io: Io): Client => omium(connectionOf(io).options)

/** Settings of commands that reach behind the gateway: the local stack's own, under those of the environment. */
export const platformEnvironment = (io: Pick<Io, 'env' | 'cwd'>): Record<string, string | undefined> => {
  const home = nearestHome(io)
  const file = home && join(home, 'run/environment')
  return { ...(file && existsSync(file) && parseEnv(readFileSync(file, 'utf8'))), ...io.env }
}
