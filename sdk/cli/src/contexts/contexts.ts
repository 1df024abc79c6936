import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OmiumError } from '@omium/schemas'
import { z } from 'zod'
import type { Io } from '../io.ts'
import { locked } from './lock.ts'

/**
 * The platforms that a person works with, and what opens them.
 *
 * 1. One file, readable by its owner alone, in the place that the system has for settings; replaced whole, never half written.
 * 2. Whoever changes it holds a lock: two processes that refresh one session at the same time would end it.
 * 3. What opens a platform is sent to the URL that it belongs to, and printed nowhere.
 */
const credential = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('key'), apiKey: z.string().min(1) }),
  z.object({
    kind: z.literal('session'),
    accessToken: z.string().min(1),
    refreshToken: z.string().min(1),
    /** when the access token ends, ms since the epoch */
    expiresAt: z.number(),
  }),
])
export type Credential = z.infer<typeof credential>

const context = z.object({
  url: z.url(),
  modelsUrl: z.url().optional(),
  /** the tenant that it acts in, as it was told last */
  tenant: z.string(),
  credential,
})
export type Context = z.infer<typeof context>

const contextName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/, 'use letters, digits and . _ : -')
const contents = z.object({
  version: z.literal(1),
  current: z.string().optional(),
  contexts: z.record(contextName, context),
})
export type Contexts = z.infer<typeof contents>

type World = Pick<Io, 'env'>

/** `OMIUM_CONFIG_DIR`, else the system's folder for settings; undefined for whoever has none. */
const folderOf = ({ env }: World): string | undefined => {
  const { OMIUM_CONFIG_DIR, XDG_CONFIG_HOME, APPDATA, HOME } = env as Record<string, string | undefined>
  if (OMIUM_CONFIG_DIR) return OMIUM_CONFIG_DIR
  if (XDG_CONFIG_HOME) return join(XDG_CONFIG_HOME, 'omium')
  if (process.platform === 'win32') return APPDATA && join(APPDATA, 'omium')
  return HOME && join(HOME, process.platform === 'darwin' ? 'Library/Application Support/omium' : '.config/omium')
}

const fileIn = (folder: string): string => join(folder, 'contexts.json')

/** What is written down; nothing where there is no such file. @throws OmiumError `settings_invalid` */
export const readContexts = (io: World): Contexts => {
  const folder = folderOf(io)
  if (!folder || !existsSync(fileIn(folder))) return { version: 1, contexts: {} }
  try {
    return contents.parse(JSON.parse(readFileSync(fileIn(folder), 'utf8')))
  } catch {
    // without the cause, which may quote what the file holds
    throw new OmiumError('settings_invalid', `${fileIn(folder)} is damaged: delete it and sign in again`)
  }
}

/** Changes what is written down, while nobody else does. @returns what `change` gives */
export const changeContexts = async <T>(io: World, change: (contexts: Contexts) => T | Promise<T>): Promise<T> => {
  const folder = folderOf(io)
  if (!folder) throw new OmiumError('settings_invalid', 'there is no folder for settings: set OMIUM_CONFIG_DIR')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = fileIn(folder)
  return locked(`${file}.lock`, async () => {
    const contexts = readContexts(io)
    const result = await change(contexts)
    const fresh = `${file}.${process.pid}`
    writeFileSync(fresh, `${JSON.stringify(contexts, null, 2)}\n`, { mode: 0o600 })
    chmodSync(fresh, 0o600)
    renameSync(fresh, file)
    return result
  })
}

/** @throws OmiumError `settings_invalid` for a name that is none */
export const checkContextName = (name: string): string => {
  const checked = contextName.safeParse(name)
  if (!checked.success)
    throw new OmiumError('settings_invalid', `"${name}" is no name of a context: use letters, digits and . _ : -`)
  return checked.data
}

/** The context in force: `OMIUM_CONTEXT`, else the current one. @throws OmiumError `settings_invalid` for one that is unknown */
export const contextInForce = (io: World): { name: string; context: Context } | undefined => {
  const contexts = readContexts(io)
  const name = io.env['OMIUM_CONTEXT'] || contexts.current
  if (!name || name === localContext) return undefined
  const found = contexts.contexts[name]
  if (!found)
    throw new OmiumError('settings_invalid', `there is no context ${name}: omium context ls shows those that are`)
  return { name, context: found }
}

/** what stands for the local stack of the nearest project */
export const localContext = 'local'
