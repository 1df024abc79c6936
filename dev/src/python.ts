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

const install = async (command: string, locks: readonly string[]): Promise<void> => {
  rmSync(home, { recursive: true, force: true })
  mkdirSync(dirname(home), { recursive: true })
  const python = join(home, 'bin/python')
  const requirements = locks.flatMap((file) => ['-r', file])
  const uv = which('uv')
  if (uv) {
    await runCommand(uv, ['venv', '--quiet', '--python', command, home])
    await runCommand(uv, ['pip', 'install', '--quiet', '--python', python, ...requirements])
    await runCommand(uv, [
      'pip',
      'install',
      '--quiet',
      '--python',
      python,
      '--no-deps',
      '--no-build-isolation',
      '-e',
      pythonProject,
    ])
    return
  }
  await runCommand(command, ['-m', 'venv', home])
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input']
  await runCommand(python, [...pip, ...requirements], { timeoutMs: 1_800_000 })
  await runCommand(python, [...pip, '--no-deps', '--no-build-isolation', '-e', pythonProject])
}

/** What an environment was made from. */
const stampOf = (version: string, locks: readonly string[]): string => {
  const hash = createHash('sha256').update(version).update(home)
  for (const file of locks) hash.update('\0').update(readFileSync(file))
  // the settings of tools may change without another installation
  const [installed = ''] = readFileSync(join(pythonProject, 'pyproject.toml'), 'utf8').split('\n[tool.pyright]')
  return hash.update('\0').update(installed).digest('hex')
}

/**
 * Makes `.omium/python` hold what sdk/python/requirements.lock says, with sdk/python itself installed in place; with
 * `OMIUM_FRAMEWORKS=all` in the environment the agent frameworks of requirements-frameworks.lock as well.
 * Does nothing when it does already. Processes that want it at the same time wait for one of them to make it.
 * @throws OmiumError `unavailable` when there is no Python 3.11 or the packages can't be installed
 */
export const ensurePython = async ({
  progress,
  env = process.env,
}: {
  progress: Progress
  env?: Record<string, string | undefined>
}): Promise<PythonEnvironment> => {
  const environment = { python: join(home, 'bin/python'), bin: join(home, 'bin') }
  const { command, version } = await interpreter()
  const core = join(pythonProject, 'requirements.lock')
  // a superset: whoever has the frameworks keeps them when they are not asked for, as they take minutes to install
  const frameworks = [core, join(pythonProject, 'requirements-frameworks.lock')]
  const wantsFrameworks = env['OMIUM_FRAMEWORKS'] === 'all'
  const locks = wantsFrameworks ? frameworks : [core]
  const isMade = (): boolean => {
    if (!existsSync(stampFile)) return false
    const stamp = readFileSync(stampFile, 'utf8')
    return stamp === stampOf(version, frameworks) || (!wantsFrameworks && stamp === stampOf(version, [core]))
  }
  if (isMade()) return environment
  mkdirSync(dirname(home), { recursive: true })
  const unlock = await lock(`${home}.lock`)
  try {
    if (isMade()) return environment
    progress(
      `installing the Python packages of ${locks.map((file) => basename(file)).join(' and ')} (Python ${version})`,
    )
    await install(command, locks)
    writeFileSync(stampFile, stampOf(version, locks))
    return environment
  } finally {
    unlock()
  }
}
