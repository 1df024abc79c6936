import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { OmiumError } from '@omium/schemas'
import { root } from './layout.ts'
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts'

const run = promisify(execFile)

/** Told to whoever waits, before something slow begins. */
export type Progress = (line: string) => void

/**
 * Runs a command to its end.
 * @throws OmiumError `unavailable` with the end of its output when it fails
 */
export const runCommand = async (
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; uid?: number; gid?: number; timeoutMs?: number } = {},
): Promise<string> => {
  const { timeoutMs, ...rest } = options
  try {
    const { stdout } = await run(command, args, { ...rest, timeout: timeoutMs ?? 600_000, maxBuffer: 16 * 1024 * 1024 })
    return stdout
  } catch (cause) {
    const { stdout = '', stderr = '', message } = cause as { stdout?: string; stderr?: string; message: string }
    const said = `${stdout}${stderr}`.trimEnd().split('\n').slice(-15).join('\n')
    throw new OmiumError('unavailable', `${command} ${args[0] ?? ''} failed: ${said || message}`, { cause })
  }
}

/** Waits for the lock and takes it; gives it back when called, or when this process is gone. */
export const lock = async (file: string): Promise<() => void> => {
  const me = identify(process.pid)
  for (;;) {
    try {
      writeFileSync(file, JSON.stringify(me), { flag: 'wx' })
      return () => rmSync(file, { force: true })
    } catch {
      let holder: ProcessIdentity | undefined
      try {
        holder = JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity
      } catch {
        // being written, or gone again: both end by themselves
      }
      if (holder && !isRunning(holder)) rmSync(file, { force: true })
      await delay(100)
    }
  }
}

/**
 * Makes `<tools>/<name>` exist, whole or not at all: `make` fills a scratch folder that is then renamed. Processes that
 * want the same tool at the same time wait for one of them to make it.
 * @returns the folder
 */
export const installOnce = async (
  tools: string,
  name: string,
  announce: () => void,
  make: (folder: string) => Promise<void>,
): Promise<string> => {
  const folder = join(tools, name)
  if (existsSync(folder)) return folder
  mkdirSync(tools, { recursive: true })
  const unlock = await lock(join(tools, `${name}.lock`))
  try {
    if (existsSync(folder)) return folder
    announce()
    const scratch = join(tools, `${name}.part`)
    rmSync(scratch, { recursive: true, force: true })
    mkdirSync(scratch, { recursive: true })
    await make(scratch)
    renameSync(scratch, folder)
    return folder
  } finally {
    unlock()
  }
}

const pom = join(root, 'dev/tools/pom.xml')

/** A version property of the pom, so that a version is written once. */
const pomVersion = (property: string): string => {
  const found = new RegExp(`<${property}>([^<]+)</${property}>`).exec(readFileSync(pom, 'utf8'))?.[1]
  if (!found) throw new OmiumError('internal', `dev/tools/pom.xml has no property ${property}`)
  return found
}

export type MavenProfile = 'kafka' | 'registry' | 'redis'
const profileVersion = {
  kafka: 'kafka.version',
  registry: 'apicurio.version',
  redis: 'embedded-redis.version',
} as const

/** The folder of what one profile of the pom brings. A changed profile is another folder. */
export const mavenFolder = (tools: string, profile: MavenProfile, progress: Progress): Promise<string> => {
  const text = readFileSync(pom, 'utf8')
  const mark = createHash('sha256').update(text).digest('hex').slice(0, 8)
  const name = `${profile}-${pomVersion(profileVersion[profile])}-${mark}`
  return installOnce(
    tools,
    name,
    () => progress(`fetching ${profile} ${pomVersion(profileVersion[profile])} with Maven`),
    async (folder) => {
      await runCommand('mvn', ['-q', '-B', '-f', pom, '-P', profile, `-Dinto=${folder}`, 'generate-resources'], {
        cwd: dirname(pom),
      })
    },
  )
}
