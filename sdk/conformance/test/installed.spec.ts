import { execFileSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePython } from '@omium/dev'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Project, programOf, startProject } from '../src/installed.ts'

/** What strangers install, in an empty project outside of the repository. */

const root = join(import.meta.dirname, '../../..')
let folder: string
let project: Project
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'omium-installed-'))
  project = startProject(folder)
}, 240_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const agentProgram = `
import { agent, loadAgents, omium, worker } from '@omium/sdk'
import { replayRuns } from '@omium/sdk/hermetic'
import { testRun } from '@omium/sdk/testing'
import { z } from 'zod'

const double = agent({ id: 'double', input: z.object({ n: z.number() }), run: async ({ n }, ctx) => ctx.step('double', () => n * 2) })
const ran = await testRun(double, { n: 21 })
const doubled: number | undefined = ran.output
export const start = async () => {
  const run = await omium().start(double, { n: 1 })
  const result: number = await run.result()
  // @ts-expect-error it takes a number
  await omium().start(double, { n: '1' })
  return result
}
console.log(doubled, [loadAgents, replayRuns, worker].map((one) => typeof one).join())
`

it('the TypeScript SDK runs and has its types, without the repository', () => {
  project.write('agent.ts', agentProgram)
  project.write('guide.ts', programOf('typescript-client.md', 'ts'))
  project.check({ module: 'ESNext', moduleResolution: 'bundler' })
  project.write(
    'old.cts',
    `import sdk = require('@omium/sdk')\nconst error: Error = new sdk.OmiumError('timeout', 'late')\nconsole.log(error.name)\n`,
  )
  project.check()
  expect(project.node(['agent.ts'])).toBe('42 function,function,function\n')
  // `import = require` is for compilers; Node's own reading of types takes none of it
  project.write('old.cjs', `console.log(new (require('@omium/sdk').OmiumError)('timeout', 'late').name)\n`)
  expect(project.node(['old.cjs'])).toBe('OmiumError\n')
}, 240_000)

it('nothing else is in the package, and nothing of where it was made', () => {
  const installed = join(folder, 'node_modules/@omium/sdk')
  const files = globSync('**/*', { cwd: installed }).filter((name) => statSync(join(installed, name)).isFile())
  expect(files.filter((name) => !/^dist\/.*\.(js|d\.ts)$/.test(name)).sort()).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'package.json',
  ])
  expect(files.filter((name) => readFileSync(join(installed, name), 'utf8').includes(root))).toEqual([])
  expect(
    files.filter((name) => name.endsWith('.js') && /from '@omium/.test(readFileSync(join(installed, name), 'utf8'))),
  ).toEqual([])
  expect(Object.keys(project.manifest.dependencies).sort()).toEqual(['eventsource-parser', 'pino', 'ws', 'zod'])
  expect(files.reduce((bytes, name) => bytes + statSync(join(installed, name)).size, 0)).toBeLessThan(3_500_000)
})

it('both packages have the version that their user agents tell', () => {
  const { version } = project.manifest
  expect(readFileSync(join(root, 'sdk/typescript/src/version.ts'), 'utf8')).toContain(`'${version}'`)
  expect(readFileSync(join(root, 'sdk/python/src/omium/version.py'), 'utf8')).toContain(`"${version}"`)
  for (const sdk of ['typescript', 'python'])
    expect(readFileSync(join(root, 'sdk', sdk, 'CHANGELOG.md'), 'utf8')).toContain(`## ${version}`)
})

it('the program of the Python guide has its types', async () => {
  const { python } = await ensurePython({ progress: () => undefined })
  project.write('guide.py', `# pyright: strict\n${programOf('python-client.md', 'python')}`)
  const pyright = join(root, 'node_modules/pyright/index.js')
  const said = execFileSync(process.execPath, [pyright, '--pythonpath', python, 'guide.py'], {
    cwd: folder,
    encoding: 'utf8',
  })
  expect(said).toContain('0 errors, 0 warnings')
}, 240_000)
