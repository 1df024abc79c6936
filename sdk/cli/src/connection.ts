import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { OmiumError } from '@omium/schemas'
import { type Client, omium } from '@omium/sdk'
import { z } from 'zod'
import type { Io } from './io.ts'

const credentialsFile = z.object({ apiKey: z.string().min(1) })
const stateFile = z.object({ urls: z.record(z.string(), z.string()) })

/** The state folder of the nearest project: `OMIUM_HOME`, else `.omium` in this folder or the first above that has one. */
export const nearestHome = ({ env, cwd }: Pick<Io, 'env' | 'cwd'>): string | undefined => {
  if (env['OMIUM_HOME']) return resolve(cwd, env['OMIUM_HOME'])
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const home = join(folder, '.omium')
    if (existsSync(home)) return home
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

/** A URL of the local stack of the nearest project, while it runs. */
const stackUrl = (home: string | undefined, name: string): string | undefined =>
  home && readJson(join(home, 'run/state.json'), stateFile)?.urls[name]

/** URL and key: the environment first, then the local stack of the nearest project. */
const connectionOf = (io: Pick<Io, 'env' | 'cwd'>): { url?: string; apiKey: string } => {
  const home = nearestHome(io)
  const url = io.env['OMIUM_URL'] || stackUrl(home, 'gateway') || undefined
  const apiKey =
    io.env['OMIUM_API_KEY'] || (home && readJson(join(home, 'credentials.json'), credentialsFile)?.apiKey) || undefined
  if (!apiKey)
    throw new OmiumError(
      'settings_invalid',
      'no API key: set OMIUM_API_KEY, or start the local stack (omium dev) in this project',
    )
  return { ...(url && { url }), apiKey }
}

/** Where the model gateway is: `OMIUM_MODELS_URL`, then the local stack. */
export const modelsConnectionOf = (io: Pick<Io, 'env' | 'cwd'>): { url: string; apiKey: string } => {
  const url = io.env['OMIUM_MODELS_URL'] || stackUrl(nearestHome(io), 'models')
  if (!url)
    throw new OmiumError(
      'settings_invalid',
      'no model gateway: set OMIUM_MODELS_URL, or start the local stack (omium dev) in this project',
    )
  return { url: url.replace(/\/+$/, ''), apiKey: connectionOf(io).apiKey }
}

export const clientOf = (io: Io): Client => omium(connectionOf(io))

/** Settings of commands that reach behind the gateway: the local stack's own, under those of the environment. */
export const platformEnvironment = (io: Pick<Io, 'env' | 'cwd'>): Record<string, string | undefined> => {
  const home = nearestHome(io)
  const file = home && join(home, 'run/environment')
  return { ...(file && existsSync(file) && parseEnv(readFileSync(file, 'utf8'))), ...io.env }
}
