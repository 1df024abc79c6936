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
const stampFile = join(home, '.omium-stamp')

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

const install = async (command: string): Promise<void> => {
  rmSync(home, { recursive: true, force: true })
  mkdirSync(dirname(home), { recursive: true })
  const python = join(home, 'bin/python')
  await runCommand(command, ['-m', 'venv', home])
  await runCommand(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input', installer])
  const uv = ['-m', 'uv', 'pip', 'install', '--quiet', '--python', python, '--no-deps']
  await runCommand(python, [...uv, ...locks.flatMap((file) => ['-r', file])], { timeoutMs: 1_800_000 })
  await runCommand(python, [...uv, '--no-build-isolation', '-e', pythonProject])
}

/** What an environment was made from. */
const stampOf = (version: string): string => {
  const hash = createHash('sha256').update(version).update(home)
  for (const file of locks) hash.update('\0').update(readFileSync(file))
  // the settings of tools may change without another installation
  const [installed = ''] = readFileSync(join(pythonProject, 'pyproject.toml'), 'utf8').split('\n[tool.pyright]')
  return hash.update('\0').update(installed).digest('hex')
}

/**
 * Makes `.omium/python` hold what the lock files of sdk/python say, with sdk/python itself installed in place. Does nothing
 * when it does already. Processes that want it at the same time wait for one of them to make it.
 * @throws OmiumError `unavailable` when there is no Python 3.11 or the packages can't be installed
 */
export const ensurePython = async ({ progress }: { progress: Progress }): Promise<PythonEnvironment> => {
  const environment = { python: join(home, 'bin/python'), bin: join(home, 'bin') }
  const { command, version } = await interpreter()
  const stamp = stampOf(version)
  const isMade = (): boolean => existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp
  if (isMade()) return environment
  mkdirSync(dirname(home), { recursive: true })
  const unlock = await lock(`${home}.lock`)
  try {
    if (isMade()) return environment
    progress(
      `installing the Python packages of ${locks.map((file) => basename(file)).join(' and ')} (Python ${version})`,
    )
    await install(command)
    writeFileSync(stampFile, stamp)
    return environment
  } finally {
    unlock()
  }
}
