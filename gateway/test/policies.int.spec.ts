import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '@omium/dev/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type GatewayWorld, keyA, keyB, startGatewayWorld } from './gateway-world.ts'

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
  it('are asked about each subscription of a socket, and hold for those that are open when they change', async () => {
    const start = async (id: string) =>
      expect(
        (await world.call('POST', '/v1/executions', { body: { agent: 'writer', input: { topic: 'x1' }, id } })).status,
      ).toBe(201)
    for (const id of ['seen-1', 'hidden-1', 'later-1']) await start(id)
    const hide = (pattern: string) =>
      file(
        'policies.cedar',
        `@id("hidden") forbid (principal, action == Action::"executions:read", resource)
        when { resource.kind == "executions" && resource has id && resource.id like "${pattern}" };`,
      )
    hide('hidden-*')
    const codeOf = async (id: string) => (await world.call('GET', `/v1/executions/${id}`)).body.code
    await eventually(async () => expect(await codeOf('hidden-1')).toBe('policy_denied'), { timeoutMs: 30_000 })
    const socket = new WebSocket(`${world.gateway.url.replace('http', 'ws')}/v1/stream`, {
      headers: { authorization: `Bearer ${keyA}` },
    })
    const messages: { type: string; subscription?: string; error?: { code: string } }[] = []
    socket.on('message', (data) => messages.push(JSON.parse(String(data))))
    await once(socket, 'open')
    for (const id of ['seen-1', 'hidden-1', 'later-1'])
      socket.send(JSON.stringify({ type: 'subscribe', subscription: id, execution: id }))
    const told = (id: string) =>
      messages.filter((one) => one.subscription === id).map(({ type, error }) => error?.code ?? type)
    await eventually(() => {
      expect(told('hidden-1')).toEqual(['policy_denied'])
      for (const id of ['seen-1', 'later-1']) expect(told(id)).toEqual(['subscribed', 'event'])
    })
    hide('later-*')
    await eventually(() => expect(told('later-1')).toEqual(['subscribed', 'event', 'policy_denied']), {
      timeoutMs: 30_000,
    })
    expect(told('seen-1')).toEqual(['subscribed', 'event'])
    expect(socket.readyState).toBe(WebSocket.OPEN)
    socket.terminate()
  })
  it('that are wrong keep the gateway from starting', async () => {
    const policiesFile = file('bad.cedar', '@id("a") forbid (principal, action, resource) when { context.nose };')
    await expect(world.startOne({ policiesFile })).rejects.toMatchObject({
      code: 'settings_invalid',
      message: expect.stringMatching(/bad\.cedar:1:\d+ .*`nose`/),
    })
  })
})
