import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './layout.ts'
import { ensurePython, pythonProject } from './python.ts'

interface Check {
  name: string
  command: string
  args: string[]
}

interface Manifest {
  workspaces: string[]
}

/** The top folders that hold workspaces today. */
const sourceFolders = (): string[] => {
  const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
  const tops = workspaces.map((pattern) => pattern.split('/')[0] ?? '')
  return [...new Set(tops)].filter((folder) => folder !== '' && existsSync(join(root, folder)))
}

const bin = (name: string): string => join(root, 'node_modules/.bin', name)

const { bin: pythonBin, python } = await ensurePython({ progress: (line) => console.log(`  ${line}`) })

/** Folders of Python programs. */
const pythonFolders = [pythonProject, join(root, 'sdk/conformance'), join(root, 'examples/frameworks')]

const checks: Check[] = [
  { name: 'format and lint (biome)', command: bin('biome'), args: ['check', '.'] },
  { name: 'types (tsc)', command: bin('tsc'), args: ['-p', '.'] },
  {
    name: 'dependency rules (dependency-cruiser)',
    command: bin('depcruise'),
    args: ['--config', '.dependency-cruiser.mjs', ...sourceFolders()],
  },
  { name: 'dead code (knip)', command: bin('knip'), args: [] },
  { name: 'Python lint (ruff)', command: join(pythonBin, 'ruff'), args: ['check', '--no-cache', ...pythonFolders] },
  {
    name: 'Python format (ruff)',
    command: join(pythonBin, 'ruff'),
    args: ['format', '--check', '--no-cache', ...pythonFolders],
  },
  { name: 'Python types (pyright)', command: bin('pyright'), args: ['--pythonpath', python, '-p', pythonProject] },
]

const run = ({ command, args }: Check): Promise<{ ok: boolean; output: string; seconds: string }> =>
  new Promise((resolve) => {
    const begin = performance.now()
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
    const end = (ok: boolean): void => resolve({ ok, output, seconds: ((performance.now() - begin) / 1000).toFixed(1) })
    child.once('error', (error) => {
      output += error.message
      end(false)
    })
    child.once('close', (code) => end(code === 0))
  })

// all at once: none of them is long, and a contributor wants to know everything that is wrong
const results = await Promise.all(
  checks.map(async (check) => {
    const result = await run(check)
    console.log(`${result.ok ? 'passed' : 'FAILED'}  ${check.name}, ${result.seconds} s`)
    return { ...check, ...result }
  }),
)
const failed = results.filter(({ ok }) => !ok)
for (const { name, output } of failed) console.log(`\n---- ${name}\n${output.trimEnd()}`)
console.log(failed.length === 0 ? '\nall checks passed' : `\nfailed: ${failed.map(({ name }) => name).join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1
