/**
 * Restate: its server (one node, its default durability: every append is on disk before it is acknowledged), a service
 * process that runs the ten steps, and this process as the client over HTTP with kept connections.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '@restatedev/restate-sdk-clients'
import { runLoad } from '../src/load.ts'
import { concurrency, measureMs, report, stepsPerWorkflow, warmupMs } from './arguments.mjs'

const freePort = async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

const [ingressPort, adminPort, nodePort] = [await freePort(), await freePort(), await freePort()]
const folder = mkdtempSync(join(tmpdir(), 'omium-bench-restate-'))
const require = createRequire(import.meta.url)
const binary = join(
  require.resolve(`@restatedev/restate-server-${process.platform}-${process.arch}/package.json`),
  '../bin/restate-server',
)
const server = spawn(binary, ['--no-logo', '--listen-mode', 'tcp', '--bind-ip', '127.0.0.1'], {
  cwd: folder,
  stdio: ['ignore', process.stderr, process.stderr],
  env: {
    ...process.env,
    RESTATE_BASE_DIR: folder,
    RESTATE_BIND_PORT: String(nodePort),
    RESTATE_ADVERTISED_HOST: '127.0.0.1',
    RESTATE_NODE_NAME: 'bench',
    RESTATE_INGRESS__BIND_PORT: String(ingressPort),
    RESTATE_ADMIN__BIND_PORT: String(adminPort),
    RESTATE_LOG_FILTER: 'error',
    RESTATE_DISABLE_TELEMETRY: 'true',
  },
})
const service = spawn(process.execPath, [join(import.meta.dirname, 'restate-service.mjs')], {
  stdio: ['pipe', 'pipe', 'inherit'],
})
const cleanUp = () => {
  server.kill('SIGKILL')
  service.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}
process.once('exit', cleanUp)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const [line] = await once(createInterface({ input: service.stdout }), 'line')
const servicePort = Number(String(line).split(' ')[1])
const admin = `http://127.0.0.1:${adminPort}`
const deadline = performance.now() + 60_000
const healthy = async (url) => (await fetch(url).catch(() => undefined))?.ok === true
while (!(await healthy(`${admin}/health`)) || !(await healthy(`http://127.0.0.1:${ingressPort}/restate/health`))) {
  if (server.exitCode !== null || performance.now() > deadline) throw new Error('the Restate server did not come up')
  await delay(50)
}
const registered = await fetch(`${admin}/deployments`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ uri: `http://127.0.0.1:${servicePort}` }),
})
if (!registered.ok) throw new Error(`Restate refused the service: ${await registered.text()}`)

report({ system: 'Restate 1.7.12', durability: 'single node, default: RocksDB write-ahead log flushed to disk' })
const client = connect({ url: `http://127.0.0.1:${ingressPort}` }).serviceClient({ name: 'tenSteps' })
for (const level of concurrency) {
  const row = await runLoad({
    concurrency: level,
    stepsPerWorkflow,
    warmupMs,
    measureMs,
    runWorkflow: async () => {
      const result = await client.run(1)
      if (result !== 1 + stepsPerWorkflow) throw new Error(`wrong result ${result}`)
    },
  })
  report({ row })
}
process.exit(0)
