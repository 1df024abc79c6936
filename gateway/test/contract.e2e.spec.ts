import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { ensurePythonTool, testPlatform } from '@omium/dev/testing'
import { openLog } from '@omium/projection-kit'
import {
  checkpointContext,
  executionContext,
  identityContext,
  recoveryContext,
  webhookContext,
  workflowContext,
} from '@omium/schemas'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readConfig } from '../src/config.ts'
import { type GatewayLogs, startGateway } from '../src/gateway.ts'

/**
 * The gateway does what its own description says: schemathesis sends it what fits and what does not, to every operation, and
 * checks statuses, bodies, headers, methods and authentication against `/openapi.json`. Behind it is the whole platform.
 */
const quiet = () => undefined
const folder = import.meta.dirname
let platform: Awaited<ReturnType<typeof testPlatform>>
let logs: GatewayLogs
let gateway: Awaited<ReturnType<typeof startGateway>>
let bin: string

beforeAll(async () => {
  const services = ['migrations', 'log', 'execution-engine', 'projections', 'workflow-manager']
  platform = await testPlatform({ OMIUM_EGRESS_PORTS: '1' }, [
    ...services,
    'recovery-orchestrator',
    'checkpoint-manager',
    'identity',
    'webhooks',
  ])
  const { environment } = platform
  const open = (context: Parameters<typeof openLog>[1]) => openLog(environment, context, 'contract-spec', quiet)
  logs = {
    execution: await open(executionContext),
    recovery: await open(recoveryContext),
    checkpoint: await open(checkpointContext),
    workflow: await open(workflowContext),
    identity: await open(identityContext),
    webhook: await open(webhookContext),
  }
  const config = readConfig({ ...environment, OMIUM_GATEWAY_PORT: '0', OMIUM_RATE_SENSITIVE: '0' })
  // waits that a caller may ask for are only as long as the test has time
  const limits = { ...config.limits, readWaitMs: 50, resultWaitMs: 50 }
  gateway = await startGateway({ ...config, limits }, logs, pino({ level: 'silent' }))
  ;({ bin } = await ensurePythonTool('schemathesis', 'gateway/test/schemathesis.lock', { progress: quiet }))
})

afterAll(async () => {
  await gateway?.close()
  for (const log of Object.values(logs ?? {})) await log.close()
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
