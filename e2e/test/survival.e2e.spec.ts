import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { devUp, type RunningStack } from '@omium/dev'
import { eventually, type ServiceHandle, spawnService } from '@omium/dev/testing'
import { omium } from '@omium/sdk'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectedSum, readWork, type WorkLine } from '../src/chores.ts'

const runs = 60
const steps = 10

let home: string
let workLog: string
let stack: RunningStack
let workers: ServiceHandle[] = []

const up = () => devUp({ home: join(home, 'state'), freePorts: true })
const startWorker = () =>
  spawnService(
    'e2e/src/chore-worker.ts',
    { ...stack.environment, OMIUM_WORK_LOG: workLog },
    { readyLine: /worker started/ },
  )
const client = () => omium({ url: stack.environment['OMIUM_URL'] as string, apiKey: stack.apiKey })

const processOf = (name: string) => {
  const found = stack.supervisor.processes.find((one) => one.name === name && !one.hasExited())
  if (!found)
    throw new Error(`${name} is not running; running are ${stack.supervisor.processes.map((one) => one.name)}`)
  return found
}

const workedAtLeast = (lines: number) => eventually(() => readWork(workLog).length >= lines, { timeoutMs: 60_000 })

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'omium-survival-'))
  workLog = join(home, 'work.jsonl')
  stack = await up()
  workers = await Promise.all([startWorker(), startWorker()])
})

afterAll(async () => {
  await Promise.all(workers.map((one) => one.stop()))
  await stack?.stop()
  rmSync(home, { recursive: true, force: true })
})

test('every run ends with its result, and no recorded step is entered again, whatever is killed', async () => {
  const started = await Promise.all(
    Array.from({ length: runs }, async (_, seed) => {
      const input = { seed, steps, stepMs: 100 }
      const run = await eventually(() => client().start('chores', input, { id: `chores-${seed}` }), {
        timeoutMs: 30_000,
      })
      return { id: run.id, seed }
    }),
  )

  await workedAtLeast(40)
  await workers[0]?.kill('SIGKILL')
  workers[0] = await startWorker()

  await workedAtLeast(120)
  for (const name of ['execution-engine', 'projections', 'gateway']) {
    processOf(name).kill('SIGKILL')
    const before = readWork(workLog).length
    await eventually(() => processOf(name), { timeoutMs: 30_000 })
    await workedAtLeast(Math.min(before + 40, 320))
  }

  // power cut: everything at once, the broker and the database too
  await workedAtLeast(320)
  for (const one of [...stack.supervisor.processes]) one.kill('SIGKILL')
  await Promise.all(workers.map((one) => one.kill('SIGKILL')))
  await stack.stop()
  stack = await up()
  workers = await Promise.all([startWorker(), startWorker()])

  for (const { id, seed } of started) {
    expect(await client().handle(id).result(), id).toEqual({ sum: expectedSum(seed, steps) })
  }

  const worked = Map.groupBy(readWork(workLog), (line) => line.executionId)
  let entered = 0
  for (const { id } of started) {
    const recorded = new Map(
      (await client().handle(id).steps())
        .filter((step) => step.kind === 'step')
        .map((step) => [step.path, step.executionAttempt]),
    )
    expect(recorded.size, id).toBe(steps)
    const lines: WorkLine[] = worked.get(id) ?? []
    entered += lines.length
    for (const line of lines) {
      const path = [...recorded.keys()].find((one) => one.startsWith(line.path)) as string
      expect(line.attempt, `${id} ${line.path} was entered after it was recorded`).toBeLessThanOrEqual(
        recorded.get(path) as number,
      )
    }
  }
  expect(entered).toBeGreaterThanOrEqual(runs * steps)
})
