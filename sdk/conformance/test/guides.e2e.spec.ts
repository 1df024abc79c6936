import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ensurePython } from '@omium/dev'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { programOf, startProject } from '../src/installed.ts'
import { startStage } from '../src/stage.ts'

/** The guides to the clients do what they say, as they stand there. */

const run = promisify(execFile)

let folder: string
let stages: Awaited<ReturnType<typeof startStage>>[]
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'omium-guides-'))
  stages = await Promise.all([startStage(), startStage()])
}, 240_000)
afterAll(async () => {
  await Promise.all((stages ?? []).map((stage) => stage.stop()))
  rmSync(folder, { recursive: true, force: true })
})

const inTenant = (index: number) => ({
  cwd: folder,
  env: { PATH: process.env['PATH'], OMIUM_URL: stages[index]?.url, OMIUM_API_KEY: stages[index]?.apiKey },
})

it('the guide to the TypeScript client', async () => {
  const project = startProject(folder)
  project.write('guide.ts', programOf('typescript-client.md', 'ts'))
  const { stdout } = await run(process.execPath, ['guide.ts'], inTenant(0))
  for (const line of [
    'report-1 true',
    /^\d+ ApprovalRequested$/m,
    /^\d+ ExecutionCompleted$/m,
    "{ text: 'logs and clocks', approved: true }",
    'cancelled',
    'report-1 completed 0',
    'Hello Ada',
    'execution_conflict 409 false',
    'the user has left',
    'GET /v1/me 200 done',
    '401',
  ])
    expect(stdout).toMatch(line)
}, 240_000)

it('the guide to the Python client', async () => {
  const { python } = await ensurePython({ progress: () => undefined })
  writeFileSync(join(folder, 'guide.py'), programOf('python-client.md', 'python'))
  const { stdout } = await run(python, ['guide.py'], inTenant(1))
  for (const line of [
    'report-1 True',
    /^\d+ ApprovalRequested$/m,
    /^\d+ ExecutionCompleted$/m,
    "{'text': 'logs and clocks', 'approved': True}",
    'cancelled',
    'report-1 completed 0.0',
    'Hello Ada',
    'execution_conflict 409 False',
    'False [1, 2, 3]',
    'dict',
    '401',
  ])
    expect(stdout).toMatch(line)
}, 240_000)
