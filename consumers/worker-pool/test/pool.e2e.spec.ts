import {
  eventually,
  type ServiceHandle,
  spawnService,
  type TenantOfPlatform,
  tenantOfPlatform,
} from '@omium/dev/testing'
import { omium } from '@omium/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const good = 'examples/quickstart/src/agents.ts'

let platform: TenantOfPlatform
let pool: ServiceHandle
let healthUrl: string
beforeAll(async () => {
  platform = await tenantOfPlatform()
  pool = await spawnService('consumers/worker-pool/src/main.ts', {
    ...platform.environment,
    OMIUM_POOL_MODULES: `missing.ts,${good},consumers/worker-pool/src/config.ts`,
    OMIUM_POOL_SLOTS: '4',
  })
  const [, port] = await pool.waitForLine(/"healthPort":(\d+)/)
  healthUrl = `http://127.0.0.1:${port}`
})
afterAll(async () => {
  await pool?.kill()
})

describe('the worker pool', () => {
  it('runs the agents of good modules and reports the bad ones with their codes', async () => {
    const ready = await eventually(async () => {
      const response = await fetch(`${healthUrl}/ready`)
      return response.ok && ((await response.json()) as Record<string, unknown>)
    })
    expect(ready).toMatchObject({
      agents: ['greeter'],
      badModules: [
        { module: 'missing.ts', code: 'not_found' },
        { module: 'consumers/worker-pool/src/config.ts', code: 'agent_unknown' },
      ],
    })
    const client = omium(platform)
    const run = await eventually(() => client.start('greeter', { names: ['Ada', 'Grace'] }, { id: 'greeting' }))
    expect(await run.result({ timeoutMs: 30_000 })).toBe('Hello, Ada! Hello, Grace!')
  })

  it('drains on SIGTERM and ends with 0; its open run is finished by another pool', async () => {
    const client = omium(platform)
    const run = await client.start('greeter', { names: ['Linus'] }, { id: 'handed-on' })
    await eventually(async () => (await run.get()).stepsCompleted === 1)
    await pool.kill('SIGTERM')
    expect((await pool.exited).code).toBe(0)
    pool = await spawnService('consumers/worker-pool/src/main.ts', {
      ...platform.environment,
      OMIUM_POOL_MODULES: good,
    })
    expect(await run.result({ timeoutMs: 30_000 })).toBe('Hello, Linus!')
    const steps = (await run.steps()).filter((step) => step.kind === 'step')
    expect(steps).toHaveLength(1)
  })
})
