import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnService, type TenantOfPlatform, tenantOfPlatform } from '@omium/dev/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Summary } from '../src/demo/summary.ts'

let platform: TenantOfPlatform
let home: string
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'omium-demo-'))
  platform = await tenantOfPlatform()
})
afterAll(() => rmSync(home, { recursive: true, force: true }))

type Document = Summary & {
  ok: boolean
  killed: { pid: number }
  output: { status: string; report: string; file: string }
}

it('finishes its report although its worker is killed, and repeats no recorded step', async () => {
  const demo = await spawnService(
    'examples/research-team/src/demo.ts',
    { ...platform.environment, OMIUM_HOME: home },
    { args: ['--json'] },
  )
  const { code } = await demo.exited
  const line = demo
    .output()
    .split('\n')
    .find((one) => one.startsWith('{"ok"'))
  expect(line, demo.output()).toBeDefined()
  const summary = JSON.parse(line ?? '') as Document

  expect(summary.violations).toEqual([])
  expect(summary).toMatchObject({ ok: true, output: { status: 'published' }, published: 1 })
  expect(code).toBe(0)
  expect(() => process.kill(summary.killed.pid, 0)).toThrow()
  expect(summary.steps.recordedBeforeKill).toBeGreaterThanOrEqual(5)
  expect(summary.steps.replayed).toBeGreaterThan(0)
  expect(summary.takeover?.firstStepAfterMs).toBeLessThan(20_000)
  expect(summary.modelCalls?.received).toBe(
    (summary.modelCalls?.recorded ?? Number.NaN) + (summary.modelCalls?.unrecorded ?? Number.NaN),
  )
  expect(readFileSync(summary.output.file, 'utf8')).toBe(summary.output.report)
})
