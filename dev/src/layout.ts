import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The repository's root folder. */
export const root = resolve(import.meta.dirname, '../..')

/** Where everything of one stack lives. */
export interface Layout {
  home: string
  data: string
  logs: string
  run: string
  stateFile: string
  lockFile: string
  credentialsFile: string
  environmentFile: string
}

export const layout = (home: string): Layout => ({
  home,
  data: join(home, 'data'),
  logs: join(home, 'logs'),
  run: join(home, 'run'),
  stateFile: join(home, 'run/state.json'),
  lockFile: join(home, 'run/lock'),
  credentialsFile: join(home, 'credentials.json'),
  environmentFile: join(home, 'run/environment'),
})

/** Makes the folders. They are open to be passed through because PostgreSQL may run as another user; secrets are files of mode 0600. */
export const makeLayout = (home: string): Layout => {
  const places = layout(home)
  for (const folder of [places.home, places.data, places.logs, places.run])
    mkdirSync(folder, { recursive: true, mode: 0o755 })
  return places
}

/** The state folder: `OMIUM_HOME`, or `.omium` in the repository. */
export const defaultHome = (env: Record<string, string | undefined> = process.env): string =>
  resolve(env['OMIUM_HOME'] || join(root, '.omium'))

/** Downloaded and built tools, shared by all stacks: `OMIUM_TOOLS_DIR`, or `.omium/tools` in the repository. */
export const toolsDir = (env: Record<string, string | undefined> = process.env): string =>
  resolve(env['OMIUM_TOOLS_DIR'] || join(root, '.omium/tools'))
