import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { ensurePythonTool, testPlatform } from '@omium/dev/testing'
import { createLogger } from '@omium/kit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readConfig } from '../src/config.ts'
import { startGateway } from '../src/gateway.ts'
import { openGatewayLogs } from '../src/logs.ts'

/**
 * The gateway does what its own description says: schemathesis sends it what fits and what does not, to every operation, and
 * checks statuses, bodies, headers, methods and authentication against `/openapi.json`. Behind it is the whole platform, whose
 * logs are searched for secrets afterwards.
 */
const quiet = () => undefined
const folder = import.meta.dirname
const lines: string[] = []
let platform: Awaited<ReturnType<typeof testPlatform>>
let opened: Awaited<ReturnType<typeof openGatewayLogs>>
let gateway: Awaited<ReturnType<typeof startGateway>>
let bin: string

beforeAll(async () => {
  const services = ['migrations', 'log', 'execution-engine', 'projections', 'workflow-manager', 'models']
  platform = await testPlatform({ OMIUM_EGRESS_PORTS: '1', OMIUM_LOG_LEVEL: 'trace' }, [
    ...services,
    'recovery-orchestrator',
    'checkpoint-manager',
    'identity',
    'webhooks',
  ])
  const { environment } = platform
  opened = await openGatewayLogs(environment, 'contract-spec', quiet)
  const config = readConfig({ ...environment, OMIUM_GATEWAY_PORT: '0', OMIUM_RATE_SENSITIVE: '0' })
  // waits that a caller may ask for are only as long as the test has time
  const limits = { ...config.limits, readWaitMs: 50, resultWaitMs: 50 }
  gateway = await startGateway(
    { ...config, limits },
    opened.logs,
    createLogger('gateway', 'trace', { write: (line) => void lines.push(line) }),
  )
  ;({ bin } = await ensurePythonTool('schemathesis', 'gateway/test/schemathesis.lock', { progress: quiet }))
})

afterAll(async () => {
  await gateway?.close()
  await opened?.close()
  await platform?.stop()
})

// half a minute on an idle machine
const mostMs = 600_000

it('keeps what it promises, operation by operation', { timeout: mostMs }, async () => {
  const config = join(folder, 'schemathesis.toml')
  const args = ['--config-file', config, 'run', `${gateway.url}/openapi.json`, '--no-color']
  const child = spawn(join(bin, 'schemathesis'), args, {
    cwd: platform.layout.home,
    env: { PATH: process.env['PATH'], OMIUM_API_KEY: platform.environment['OMIUM_API_KEY'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  expect(code, `${output}\n${errors}`).toBe(0)
  expect(output).toMatch(/Tested:\s+\d{2}/)
})

it('has written no secret into the log of any process, of its own or of its callers', async () => {
  const { environment, layout } = platform
  const canary = 'sk-canary0123456789abcdefghij'
  const authorization = `Bearer ${environment['OMIUM_API_KEY']}`
  const send = (method: string, path: string, body?: object, headers: Record<string, string> = {}) =>
    fetch(`${gateway.url}${path}`, {
      method,
      headers: { authorization, ...(body && { 'content-type': 'application/json' }), ...headers },
      ...(body && { body: JSON.stringify(body) }),
    }).then((response) => response.text())
  const nodes = [{ id: 'ask', type: 'model', model: 'none', prompt: canary, apiKey: canary }]
  await Promise.all([
    send('POST', '/v1/executions', { agent: 'none', input: { apiKey: canary, text: canary } }),
    send('POST', '/v1/executions/none/signals', { name: canary, payload: { password: canary } }),
    send('POST', '/v1/executions/none/cancel', { reason: canary }),
    send('PUT', '/v1/workflows/canary', { definition: { name: 'canary', nodes } }),
    send('POST', '/v1/keys', { name: 'canary', scopes: { permissions: ['executions:read'] } }),
    send('POST', '/v1/keys/verify', { key: canary }),
    send('POST', '/v1/invitations', { email: `${canary}@example.org`, role: 'viewer' }),
    send('PUT', '/v1/checkpoints/canary/latest', { state: { token: canary } }),
    send('GET', `/v1/executions?cursor=${canary}`),
    send('GET', '/v1/agents', undefined, { authorization: `Bearer ${canary}`, cookie: `omium_access=${canary}` }),
    send('POST', '/auth/refresh', { refreshToken: canary }),
  ])
  const issued = JSON.parse(
    await send('POST', '/v1/keys', { name: 'logged?', scopes: { permissions: ['executions:read'] } }),
  ) as { key: string }
  const passwordsIn = (value: string) => (URL.canParse(value) ? [new URL(value).password] : [])
  const own = Object.entries(environment).flatMap(([name, value]) =>
    /SECRET|_KEYS?$|PEPPERS|PASSWORD/.test(name) ? value.split(/[,:]/) : passwordsIn(value),
  )
  const secrets = [canary, issued.key, ...own].filter((secret) => secret.length >= 12)
  expect(secrets.length).toBeGreaterThan(6)
  const written = new Map([['gateway', lines.join('')]])
  for (const file of readdirSync(layout.logs)) written.set(file, readFileSync(join(layout.logs, file), 'utf8'))
  expect(written.size).toBeGreaterThan(8)
  for (const [file, content] of written)
    for (const secret of secrets) expect(content.includes(secret), `${file} has ${secret.slice(0, 9)}...`).toBe(false)
})
