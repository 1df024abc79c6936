import { omium } from '@omium/sdk'
import autocannon from 'autocannon'
import { startBenchStack, startBenchWorker } from './stack.ts'
const stack = await startBenchStack({ fsync: true, services: 'platform', partitions: 4, say: console.log })
try {
  const { OMIUM_URL: platformUrl = '', OMIUM_API_KEY: apiKey = '' } = stack.environment
  const worker = await startBenchWorker(stack, 'worker')
  const client = omium({ url: platformUrl, apiKey })
  const first = await client.start('bench-ten-steps', { start: 0 })
  await first.result()
  await worker.stop()
  const gateway = stack.spawn('gateway-measured', 'gateway/src/main.ts', {
    OMIUM_GATEWAY_PORT: '0', OMIUM_LOG_LEVEL: 'info', OMIUM_RATE_PER_KEY: '0', OMIUM_RATE_PER_TENANT: '0', OMIUM_RATE_PER_ADDRESS: '0',
    ...(process.env.PROF ? { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${process.env.PROF}` } : {}),
  })
  const [, url = ''] = await gateway.line(/"url":"(http:[^"]+)"/)
  const load = async (what: string, path: string, seconds: number, more: object = {}) => {
    const r = await autocannon({ url: `${url}${path}`, connections: 16, duration: seconds, headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }, ...more })
    console.log(what, Math.round(r.requests.average), 'p50', r.latency.p50, 'p99', r.latency.p99, 'bytes/req', Math.round(r.throughput.total / r.requests.total), 'non2xx', r.non2xx, r.errors)
  }
  const body = JSON.stringify({ agent: 'bench-ten-steps', input: { start: 0 } })
  for (const seconds of [4, 4]) await load('warm list', '/v1/executions?limit=20', 1)
  await load('create', '/v1/executions', 4, { method: 'POST', body, overallRate: 500 })
  await load('health', '/health', 2)
  await load('read', `/v1/executions/${first.id}`, 4)
  await load('list', '/v1/executions?limit=20', 3)
  await load('list', '/v1/executions?limit=20', 5)
  await load('list1', '/v1/executions?limit=1', 4)
  await gateway.stop()
} finally { await stack.stop() }
