import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePython } from '@omium/dev'
import {
  eventually,
  type ServiceHandle,
  spawnService,
  type TenantOfPlatform,
  tenantOfPlatform,
} from '@omium/dev/testing'
import { omium } from '@omium/sdk'
import { afterAll, beforeAll, expect, it } from 'vitest'

const agents = `
import os, time, omium

@omium.agent(id="pool.hello")
async def hello(name, ctx):
    pid = await ctx.step("pid", os.getpid)
    await ctx.wait_for("go")
    return {"said": f"Hello, {name}!", "pid": pid}
`
let folder: string
let pool: ServiceHandle
let environment: Record<string, string>
let healthUrl: string
let platform: TenantOfPlatform

const startPool = async (): Promise<void> => {
  pool = await spawnService('consumers/python-pool/src/main.ts', environment)
  const [, port] = await pool.waitForLine(/"healthPort":(\d+)/)
  healthUrl = `http://127.0.0.1:${port}`
  await eventually(async () => expect((await fetch(`${healthUrl}/ready`)).status).toBe(200), { timeoutMs: 30_000 })
}

beforeAll(async () => {
  const { python } = await ensurePython({ progress: () => {} })
  folder = mkdtempSync(join(tmpdir(), 'omium-python-pool-'))
  writeFileSync(join(folder, 'pool_agents.py'), agents)
  writeFileSync(join(folder, 'pool_broken.py'), 'import a_module_that_nobody_has\n')
  writeFileSync(join(folder, 'team.yaml'), 'omium: 1\nid: team\nagents: {}\n')
  platform = await tenantOfPlatform()
  environment = {
    ...platform.environment,
    PYTHONPATH: folder,
    OMIUM_PYTHON: python,
    OMIUM_PYTHON_AGENTS: `pool_broken,pool_agents,${folder}/team.yaml`,
    OMIUM_PYTHON_ISOLATION: 'process',
  }
  await startPool()
}, 120_000)
afterAll(async () => {
  await pool?.kill()
  rmSync(folder, { recursive: true, force: true })
})

const client = () => omium(platform)

it('runs good targets, tells what is wrong with bad ones, and brings back a worker that is killed', async () => {
  const metrics = await (await fetch(`${healthUrl}/metrics`)).text()
  expect(metrics).toContain('target="pool_agents",status="ready"')
  expect(metrics).toContain('target="pool_broken",status="refused"')
  expect(pool.output()).toContain("pool_broken can't be imported")
  expect(pool.output()).toMatch(/team\.yaml:3: agents: dictionary should have at least 1 item/)
  const run = await eventually(() => client().start('pool.hello', 'Ada', { id: 'pool-ada' }), { timeoutMs: 30_000 })
  const step = await eventually(async () => {
    const found = (await run.steps()).find(({ path }) => path === 'pid#1')
    if (!found) throw new Error('the step is not recorded')
    return found
  })
  const pid = (step.output ?? 0) as number
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const zygote = Number(/PPid:\s+(\d+)/.exec(status)?.[1])
  const worker = Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${zygote}/status`, 'utf8'))?.[1])
  process.kill(worker, 'SIGKILL')
  await run.signal('go', null)
  expect(await run.result({ timeoutMs: 30_000 })).toEqual({ said: 'Hello, Ada!', pid })
  expect(await (await fetch(`${healthUrl}/metrics`)).text()).toContain(
    'omium_python_pool_restarts{target="pool_agents"} 1',
  )
}, 150_000)

it('drains on SIGTERM and ends with 0; its open run is finished by another pool', async () => {
  const run = await client().start('pool.hello', 'Linus', { id: 'pool-linus' })
  await eventually(async () => expect((await run.get()).stepsCompleted).toBe(1), { timeoutMs: 30_000 })
  await pool.kill('SIGTERM')
  expect((await pool.exited).code).toBe(0)
  await startPool()
  await run.signal('go', null)
  expect(await run.result({ timeoutMs: 30_000 })).toMatchObject({ said: 'Hello, Linus!' })
}, 150_000)
