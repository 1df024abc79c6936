import { ensurePython } from '@omium/dev'
import { spawnService, type TenantOfPlatform, tenantOfPlatform } from '@omium/dev/testing'
import { beforeAll, expect, it } from 'vitest'

let platform: TenantOfPlatform
let python: string
let other: TenantOfPlatform

beforeAll(async () => {
  ;({ python } = await ensurePython({ progress: () => {} }))
  platform = await tenantOfPlatform()
  other = await tenantOfPlatform()
}, 600_000)

/** Runs a file of Python tests against the platform; all of them have to pass. */
const pytest = async (file: string, atLeast: number) => {
  const tests = await spawnService(
    file,
    { ...platform.environment, OTHER_TENANT_KEY: other.apiKey },
    {
      command: python,
      args: ['-m', 'pytest', '-p', 'no:cacheprovider', `sdk/python/test/saver/${file}`],
    },
  )
  const { code } = await tests.exited
  expect(code, tests.output()).toBe(0)
  const [, passed] = /(\d+) passed/.exec(tests.output()) ?? []
  expect(Number(passed)).toBeGreaterThanOrEqual(atLeast)
  expect(tests.output()).not.toMatch(/skipped|xfailed/)
}

it("passes LangGraph's own conformance tests for checkpointers", () => pytest('test_conformance.py', 8), 120_000)
it(
  'carries graphs through interrupts, time travel, kill -9 and other tenants',
  () => pytest('test_graphs.py', 22),
  240_000,
)
