import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OmiumError } from '@omium/schemas'
import { afterAll, afterEach, expect, it } from 'vitest'
import type { Caller } from '../caller.ts'
import { type InstalledPolicies, openPolicies } from './installed.ts'

const folder = mkdtempSync(join(tmpdir(), 'omium-policies-'))
const file = join(folder, 'policies.cedar')
const forbidding = (id: string, action: string) =>
  `@id("${id}") forbid (principal, action == Action::"${action}", resource);`
const within = { timeout: 10_000, interval: 5 }
let policies: InstalledPolicies | undefined

afterEach(() => policies?.close())
afterAll(() => rmSync(folder, { recursive: true }))

const open = async (text: string) => {
  writeFileSync(file, text)
  const notices: string[] = []
  const note = (_fields: unknown, message: string) => void notices.push(message)
  policies = await openPolicies(file, {
    environment: 'test',
    nowMs: () => 0,
    notices: { info: note, error: note },
    lookEveryMs: 10,
  })
  const opened = policies as InstalledPolicies
  /** the policies that forbid it */
  const decided = (action: 'keys:write' | 'models:use'): unknown => {
    const request = { ip: '127.0.0.1', method: 'POST', params: {}, routeOptions: { url: '/v1/x', config: {} } }
    const caller = { tenant: 'ten_a', id: 'key_1', actor: 'key:key_1' } as Caller
    try {
      opened.require(request as never, caller, { action, kind: 'x', ids: [] })
      return []
    } catch (error) {
      return ((error as OmiumError).data as { policies: string[] }).policies
    }
  }
  const counted = async () => {
    const [, reloads, stale] = await Promise.all(opened.metrics.map(async (metric) => (await metric.get()).values))
    return { reloads: reloads?.map(({ labels, value }) => [labels['outcome'], value]), stale: stale?.[0]?.value }
  }
  return { policies: opened, decided, notices, counted }
}

it('what the file says takes effect without a restart, however it is replaced', async () => {
  const { decided, policies, counted } = await open(forbidding('first', 'keys:write'))
  let changes = 0
  policies.onChanged(() => changes++)
  expect([decided('keys:write'), decided('models:use')]).toEqual([['first'], []])
  writeFileSync(file, forbidding('second', 'models:use'))
  await expect.poll(() => decided('models:use'), within).toEqual(['second'])
  expect(decided('keys:write')).toEqual([])
  const beside = join(folder, 'new.cedar')
  writeFileSync(beside, forbidding('third', 'keys:write'))
  renameSync(beside, file)
  await expect.poll(() => decided('keys:write'), within).toEqual(['third'])
  writeFileSync(file, '')
  await expect.poll(() => decided('keys:write'), within).toEqual([])
  expect(changes).toBe(3)
  expect(await counted()).toEqual({ reloads: [['taken', 3]], stale: 0 })
})

it('what is wrong changes nothing, and is said until the file is right', async () => {
  const { decided, policies, notices, counted } = await open(forbidding('first', 'keys:write'))
  for (const change of [
    () => writeFileSync(file, 'forbid (principal, action, resource'),
    () => writeFileSync(file, '@id("nose") forbid (principal, action, resource) when { context.nose };'),
    () => rmSync(file),
  ]) {
    const before = notices.length
    change()
    await expect.poll(() => notices.length, within).toBe(before + 1)
    expect(policies.problem()).toContain('stay in force')
    expect(decided('keys:write')).toEqual(['first'])
  }
  expect(await counted()).toEqual({ reloads: [['refused', 3]], stale: 1 })
  // the old text again is no news, and no problem
  writeFileSync(file, forbidding('first', 'keys:write'))
  await expect.poll(() => policies.problem(), within).toBe(null)
  expect(await counted()).toMatchObject({ stale: 0 })
  expect(decided('keys:write')).toEqual(['first'])
})
