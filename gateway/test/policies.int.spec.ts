import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayWorld, keyB, startGatewayWorld } from './gateway-world.ts'

const folder = mkdtempSync(join(tmpdir(), 'omium-policies-'))
const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
let world: GatewayWorld

beforeAll(async () => {
  const policies = file(
    'policies.cedar',
    `@id("no-cancelling-from-here")
     forbid (principal in Tenant::"ten_a", action == Action::"executions:write", resource)
     when { context.ip.isLoopback() && context.route == "POST /v1/executions/:id/cancel" && resource has id && resource.id like "order-*" };`,
  )
  world = await startGatewayWorld({ env: { OMIUM_POLICIES_FILE: policies } })
}, 120_000)
afterAll(async () => {
  await world?.close()
  rmSync(folder, { recursive: true })
})

describe('policies', () => {
  it('forbid what permissions allow, and say so', async () => {
    const { status, headers, body } = await world.call('POST', '/v1/executions/order%2D1/cancel', { body: {} })
    expect([status, headers.get('content-type')]).toEqual([403, 'application/problem+json'])
    expect(body).toMatchObject({
      code: 'policy_denied',
      retryable: false,
      policies: ['no-cancelling-from-here'],
      detail: 'the policy of this installation forbids it: no-cancelling-from-here',
    })
    const metrics = await fetch(`${world.gateway.url}/metrics`)
    expect(await metrics.text()).toContain(
      'omium_policy_denials_total{policy="no-cancelling-from-here",reason="forbid"} 1',
    )
  })
  it('leave alone whatever they do not name', async () => {
    const { call } = world
    expect((await call('GET', '/v1/executions/order-1')).body.code).toBe('execution_unknown')
    expect((await call('GET', '/v1/executions')).status).toBe(200)
    // another tenant is decided as if there were no policy
    const foreign = await call('GET', '/v1/executions/order-1', { key: keyB })
    expect(foreign.body.code).toBe('execution_unknown')
  })
  it('that are wrong keep the gateway from starting', async () => {
    const policiesFile = file('bad.cedar', '@id("a") forbid (principal, action, resource) when { context.nose };')
    await expect(world.startOne({ policiesFile })).rejects.toMatchObject({
      code: 'settings_invalid',
      message: expect.stringMatching(/bad\.cedar:1:\d+ .*`nose`/),
    })
  })
})
