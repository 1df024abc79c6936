import { Agent, request } from 'node:http'
import type { Flags } from './flags.ts'
import { type LoadRow, runLoad } from './load.ts'
import { residentMiB } from './measures.ts'
import { startBenchStack } from './stack.ts'
import { table } from './table.ts'

/** time that the scripted provider takes, ms: long enough that what is measured is not how fast it can answer */
const providerMs = 50

interface ModelRow extends LoadRow {
  readonly way: 'provider' | 'gateway'
  readonly answers: 'whole' | 'streamed'
}

export interface ModelsResult {
  readonly providerMs: number
  readonly rows: readonly ModelRow[]
  readonly gatewayMiB: number | undefined
}

/** One chat completion read to its end, over kept connections; what a worker does. */
const askerOf = (baseUrl: string, apiKey: string, stream: boolean) => {
  const agent = new Agent({ keepAlive: true })
  const body = JSON.stringify({
    model: 'omium-local-scripted',
    stream,
    messages: [
      { role: 'system', content: 'You are an assistant.' },
      { role: 'user', content: 'How do leases and fencing tokens protect data? '.repeat(20) },
    ],
  })
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    authorization: `Bearer ${apiKey}`,
  }
  const ask = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const sent = request(`${baseUrl}/chat/completions`, { method: 'POST', agent, headers }, (response) => {
        response.resume()
        response.on('error', reject)
        response.on('end', () => {
          if (response.statusCode === 200) resolve()
          else reject(new Error(`${baseUrl} answered ${response.statusCode}`))
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  return { ask, close: () => agent.destroy() }
}

/** The same calls to a provider directly and through the model gateway, each in a process of its own. */
export const benchModels = async (flags: Flags, say: (line: string) => void): Promise<ModelsResult> => {
  const stack = await startBenchStack({ fsync: false, services: 'platform without engine', say })
  try {
    const provider = stack.spawn('provider', 'examples/model-server/src/main.ts', {
      OMIUM_MODEL_PORT: '0',
      OMIUM_MODEL_LATENCY_MS: String(providerMs),
    })
    const [, providerUrl = ''] = await provider.line(/OPENAI_BASE_URL=(\S+)/)
    const gateway = stack.spawn('models', 'gateway/models/src/main.ts', {
      OPENAI_BASE_URL: providerUrl,
      OMIUM_MODELS_PORT: '0',
      OMIUM_LOG_LEVEL: 'info',
    })
    const [, gatewayUrl = ''] = await gateway.line(/"url":"([^"]+)"/)
    const ways = { provider: providerUrl, gateway: `${gatewayUrl}/v1` } as const
    const apiKey = stack.environment['OMIUM_API_KEY'] ?? ''
    const rows: ModelRow[] = []
    for (const concurrency of flags.concurrency)
      for (const answers of ['whole', 'streamed'] as const)
        for (const way of ['provider', 'gateway'] as const) {
          const { warmupMs, measureMs } = flags
          const { ask, close } = askerOf(ways[way], apiKey, answers === 'streamed')
          const row = await runLoad({ concurrency, stepsPerWorkflow: 1, warmupMs, measureMs, runWorkflow: ask })
          close()
          rows.push({ ...row, way, answers })
          say(`${way}, ${answers}, ${concurrency} at a time: p50 ${row.p50Ms} ms, p99 ${row.p99Ms} ms`)
        }
    return { providerMs, rows, gatewayMiB: residentMiB(new Map([['models', gateway.pid]]))['models'] }
  } finally {
    await stack.stop()
  }
}

export const modelsText = ({ rows, gatewayMiB }: ModelsResult): string => {
  const added = rows.flatMap((through) => {
    const { way, answers, concurrency } = through
    const direct = rows.find(
      (row) => row.way === 'provider' && row.answers === answers && row.concurrency === concurrency,
    )
    if (way === 'provider' || !direct) return []
    return [
      {
        answers,
        'at a time': concurrency,
        'calls/s': through.stepsPerSecond,
        'direct p50 ms': direct.p50Ms,
        'p50 ms': through.p50Ms,
        'added p50 ms': through.p50Ms - direct.p50Ms,
        'direct p99 ms': direct.p99Ms,
        'p99 ms': through.p99Ms,
        'added p99 ms': through.p99Ms - direct.p99Ms,
      },
    ]
  })
  const title = `chat completions through the model gateway, and directly; the provider takes ${providerMs} ms`
  return [title, '', table(added), '', `resident memory of the gateway: ${gatewayMiB ?? '-'} MiB`].join('\n')
}
