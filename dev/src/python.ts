import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { OmiumError } from '@omium/schemas'
import { root } from './layout.ts'
import { which } from './prerequisites.mjs'
import { lock, type Progress, runCommand } from './tools.ts'

/** The Python environment of sdk/python, its tests and the workers of this repository. */
export interface PythonEnvironment {
  /** the interpreter that has `omium` and what it needs */
  python: string
  /** the folder of its commands: omium, pytest, ruff */
  bin: string
}

const home = join(root, '.omium/python')
/** The folder of the Python SDK. */
export const pythonProject = join(root, 'sdk/python')

const oldest = [3, 11] as const

const interpreter = async (): Promise<{ command: string; version: string }> => {
  for (const name of ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11']) {
    const command = which(name)
    if (!command) continue
    const said = await runCommand(command, ['-c', 'import sys; print(*sys.version_info[:3], sep=".")']).catch(() => '')
    const version = said.trim()
    const [major = 0, minor = 0] = version.split('.').map(Number)
    if (major === oldest[0] && minor >= oldest[1]) return { command, version }
  }
  throw new OmiumError(
    'unavailable',
    'Python 3.11 or newer is needed for sdk/python; none is on PATH: install it (Debian: apt-get install python3 python3-venv; macOS: brew install python).',
  )
}

/** Exact versions: what the SDK needs and its tests, and the agent frameworks that it has adapters for. */
const locks = ['requirements.lock', 'requirements-frameworks.lock'].map((file) => join(pythonProject, file))

/** The installer, from the same registry as everything else; it installs what takes pip minutes in seconds. */
const installer = 'uv==0.13.9'

/** A fresh environment with exactly what the lock files say. */
const install = async (command: string, folder: string, lockFiles: readonly string[]): Promise<string[]> => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(dirname(folder), { recursive: true })
  const python = join(folder, 'bin/python')
  await runCommand(command, ['-m', 'venv', folder])
  await runCommand(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input', installer])
  const uv = ['-m', 'uv', 'pip', 'install', '--quiet', '--python', python, '--no-deps']
  await runCommand(python, [...uv, ...lockFiles.flatMap((file) => ['-r', file])], { timeoutMs: 1_800_000 })
  return uv
}

/** What an environment was made from. */
const stampOf = (version: string): string => {
  const hash = createHash('sha256').update(version).update(home)
  for (const file of locks) hash.update('\0').update(readFileSync(file))
  // the settings of tools may change without another installation
  const [installed = ''] = readFileSync(join(pythonProject, 'pyproject.toml'), 'utf8').split('\n[tool.pyright]')
  return hash.update('\0').update(installed).digest('hex')
}

/** Makes the environment unless it is there; processes that want it at the same time wait for one of them to make it. */
const ensure = async (folder: string, stamp: string, make: () => Promise<void>): Promise<PythonEnvironment> => {
  const environment = { python: join(folder, 'bin/python'), bin: join(folder, 'bin') }
  const stampFile = join(folder, '.omium-stamp')
  const isMade = (): boolean => existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp
  if (isMade()) return environment
  mkdirSync(dirname(folder), { recursive: true })
  const unlock = await lock(`${folder}.lock`)
  try {
    if (isMade()) return environment
    await make()
    writeFileSync(stampFile, stamp)
    return environment
  } finally {
    unlock()
  }
}

/**
 * Makes `.omium/python` hold what the lock files of sdk/python say, with sdk/python itself installed in place. Does nothing
 * when it does already.
 * @throws OmiumError `unavailable` when there is no Python 3.11 or the packages can't be installed
 */
export const ensurePython = async ({ progress }: { progress: Progress }): Promise<PythonEnvironment> => {
  const { command, version } = await interpreter()
  return ensure(home, stampOf(version), async () => {
    const names = locks.map((file) => basename(file)).join(' and ')
    progress(`installing the Python packages of ${names} (Python ${version})`)
    const uv = await install(command, home, locks)
    await runCommand(join(home, 'bin/python'), [...uv, '--no-build-isolation', '-e', pythonProject])
  })
}

/**
 * A Python program beside the SDK's environment, in one of its own: `.omium/<name>` holds what a lock file says.
 * @param lockFile from the repository's root
 * @throws OmiumError `unavailable`
 */
export const ensurePythonTool = async (
  name: string,
  lockFile: string,
  { progress }: { progress: Progress },
): Promise<PythonEnvironment> => {
  const { command, version } = await interpreter()
  const file = join(root, lockFile)
  const folder = join(root, '.omium', name)
  const stamp = createHash('sha256').update(version).update(folder).update(readFileSync(file)).digest('hex')
  return ensure(folder, stamp, async () => {
    progress(`installing ${name} (Python ${version})`)
    await install(command, folder, [file])
  })
}
