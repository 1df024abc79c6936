// One command from a fresh clone: checks what the machine must have, gets Node 24 and the packages, then runs the verb.
// Plain JavaScript for Node 18 and newer without any package, because none may be there yet.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { missingPrerequisites, which } from './src/prerequisites.mjs'

const nodeVersion = '24.21.0'
const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const toolsDir = resolve(process.env.OMIUM_TOOLS_DIR || join(root, '.omium/tools'))

const stackVerbs = ['start', 'dev', 'test', 'bench']
const controlVerbs = ['status', 'stop', 'reset', 'logs']

const fail = (...lines) => {
  for (const line of lines) console.error(line)
  process.exit(1)
}

/** The TypeScript entry and its arguments for a verb. */
function target(verb, rest) {
  const cli = join(root, 'sdk/cli/src/main.ts')
  if (verb === 'cli')
    return existsSync(cli) ? { entry: cli, args: rest } : { entry: join(root, 'dev/src/main.ts'), args: rest }
  if (verb === 'start' || verb === 'dev' || controlVerbs.includes(verb))
    return { entry: join(root, 'dev/src/main.ts'), args: [verb, ...rest] }
  if (verb === 'test') return { entry: join(root, 'dev/src/test-run.ts'), args: rest }
  if (verb === 'test:unit') return { entry: join(root, 'dev/src/test-run.ts'), args: ['--unit', ...rest] }
  if (verb === 'check') return { entry: join(root, 'dev/src/check.ts'), args: rest }
  if (verb === 'bench') {
    const entry = join(root, 'bench/src/main.ts')
    if (!existsSync(entry)) fail('There is no bench/ in this repository.')
    return { entry, args: rest }
  }
  return fail(
    `Unknown verb ${verb ?? '(none)'}: ${[...stackVerbs, ...controlVerbs, 'test:unit', 'check', 'cli'].join(', ')}`,
  )
}

const isNewEnough = (version) => {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 2)
}

const npm = (args, options) =>
  spawnSync('npm', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
    env: { ...process.env, npm_config_loglevel: 'error', ...options?.env },
  })

/** The folder of a Node 24: this one's, or one that npm brings (and checks against the registry's integrity hash). */
function ensureNode() {
  if (isNewEnough(process.version)) return { node: process.execPath, own: true }
  const folder = join(toolsDir, `node-${nodeVersion}`)
  const node = join(folder, 'bin/node')
  if (existsSync(node)) return { node, own: false }
  console.log(`  fetching Node ${nodeVersion} (this is ${process.version})`)
  const scratch = join(toolsDir, `node-${nodeVersion}.${process.pid}.part`)
  mkdirSync(scratch, { recursive: true })
  const name = `node-${process.platform}-${process.arch}`
  try {
    const run = npm(
      ['install', '--prefix', scratch, '--no-save', '--no-package-lock', '--ignore-scripts', `${name}@${nodeVersion}`],
      { cwd: scratch },
    )
    if (run.status !== 0) {
      fail(
        `Node 24 could not be fetched as npm package ${name}@${nodeVersion}: install Node 24 and run this again.`,
        (run.stderr || String(run.error ?? '')).trim(),
      )
    }
    try {
      renameSync(join(scratch, 'node_modules', name), folder)
    } catch (error) {
      // another process was faster
      if (!existsSync(node)) throw error
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  return { node, own: false }
}

/** The workspaces' manifests count too: a new one needs its link in node_modules. */
function lockHash() {
  const hash = createHash('sha256')
  const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const folders = workspaces.flatMap((pattern) => {
    if (!pattern.endsWith('/*')) return [pattern]
    const parent = pattern.slice(0, -2)
    return existsSync(join(root, parent)) ? readdirSync(join(root, parent)).map((name) => join(parent, name)) : []
  })
  for (const file of [
    'package-lock.json',
    'package.json',
    ...folders.sort().map((folder) => join(folder, 'package.json')),
  ]) {
    const path = join(root, file)
    if (existsSync(path)) hash.update(file).update('\0').update(readFileSync(path)).update('\0')
  }
  return hash.digest('hex')
}

function ensurePackages(node) {
  const stamp = join(root, 'node_modules/.omium-lock')
  const wanted = lockHash()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  console.log('  installing the npm packages of package-lock.json')
  const run = npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: root,
    env: { PATH: `${dirname(node)}${delimiter}${process.env.PATH}` },
  })
  if (run.status !== 0) fail('The npm packages could not be installed:', (run.stderr || String(run.error ?? '')).trim())
  writeFileSync(stamp, wanted)
}

const [verb, ...rest] = process.argv.slice(2)
const needsStack = stackVerbs.includes(verb) || (verb === 'cli' && ['dev', 'start'].includes(rest[0]))
const { entry, args } = target(verb, rest)
const missing = [
  ...(which('npm') ? [] : ['npm is needed; it is not on PATH: install Node 24, which brings it.']),
  ...(needsStack ? missingPrerequisites({ root, toolsDir }) : []),
]
if (missing.length > 0) fail(...missing)
const { node, own } = ensureNode()
ensurePackages(node)

process.env.OMIUM_TOOLS_DIR = toolsDir
process.env.PATH = `${dirname(node)}${delimiter}${process.env.PATH}`
if (own) {
  process.argv = [process.execPath, entry, ...args]
  await import(pathToFileURL(entry).href)
} else {
  // the channel tells the child when this process dies, whichever way
  const child = spawn(node, [entry, ...args], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`${node} could not be started: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(name)
    process.kill(process.pid, signal)
  })
}
