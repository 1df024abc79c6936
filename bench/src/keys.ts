import { Agent, request } from 'node:http'
import type { Flags } from './flags.ts'
import { type LoadRow, percentile, runLoad } from './load.ts'
import { startBenchStack } from './stack.ts'
import { table } from './table.ts'

/** keys that are shown for the first time, one after the other */
const firstShown = 500

export interface KeysResult {
  /** `known`: one key, remembered by the gateway; `first`: each key is looked up in the database */
  readonly rows: readonly (Pick<LoadRow, 'concurrency' | 'p50Ms' | 'p99Ms'> & {
    readonly keys: 'known' | 'first'
    readonly count: number
  })[]
}

const clientOf = (url: string, apiKey: string) => {
  const agent = new Agent({ keepAlive: true })
  const post = (path: string, body: unknown, expected: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const text = JSON.stringify(body)
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        authorization: `Bearer ${apiKey}`,
      }
      const sent = request(`${url}${path}`, { method: 'POST', agent, headers }, (response) => {
        let answer = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          answer += chunk
        })
        response.on('error', reject)
        response.on('end', () => {
          if (response.statusCode === expected) resolve(answer)
          else reject(new Error(`${path} answered ${response.statusCode}: ${answer}`))
        })
      })
      sent.on('error', reject)
      sent.end(text)
    })
  return { post, close: () => agent.destroy() }
}

/** How long it takes to verify an API key over HTTP, with the caller's own key checked on the way. */
export const benchKeys = async (flags: Flags, say: (line: string) => void): Promise<KeysResult> => {
  const stack = await startBenchStack({ fsync: false, services: 'platform without engine', say })
  const apiKey = stack.environment['OMIUM_API_KEY'] ?? ''
  const { post, close } = clientOf(stack.environment['OMIUM_URL'] ?? '', apiKey)
  const verify = async (key: string): Promise<void> => {
    const { valid } = JSON.parse(await post('/v1/keys/verify', { key }, 200)) as { valid: boolean }
    if (!valid) throw new Error('a good key is not valid')
  }
  try {
    const rows: KeysResult['rows'][number][] = []
    for (const concurrency of flags.concurrency) {
      const { warmupMs, measureMs } = flags
      const row = await runLoad({
        concurrency,
        stepsPerWorkflow: 1,
        warmupMs,
        measureMs,
        runWorkflow: () => verify(apiKey),
      })
      rows.push({ keys: 'known', count: row.workflows, concurrency, p50Ms: row.p50Ms, p99Ms: row.p99Ms })
      say(`a known key, ${concurrency} at a time: p50 ${row.p50Ms} ms, p99 ${row.p99Ms} ms`)
    }
    const made: string[] = []
    const body = { name: 'bench', scopes: { permissions: ['executions:read'] } }
    while (made.length < firstShown) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => post('/v1/keys', body, 201)))
      made.push(...answers.map((answer) => (JSON.parse(answer) as { key: string }).key))
    }
    const durations: number[] = []
    for (const key of made) {
      const begin = performance.now()
      await verify(key)
      durations.push(performance.now() - begin)
    }
    durations.sort((a, b) => a - b)
    const at = (share: number) => Math.round(percentile(durations, share) * 100) / 100
    rows.push({ keys: 'first', count: durations.length, concurrency: 1, p50Ms: at(0.5), p99Ms: at(0.99) })
    return { rows }
  } finally {
    close()
    await stack.stop()
  }
}

export const keysText = ({ rows }: KeysResult): string =>
  [
    'verifying API keys over HTTP; a key that is shown for the first time is looked up in the database',
    '',
    table(
      rows.map(({ keys, concurrency, count, p50Ms, p99Ms }) => ({
        keys,
        'at a time': concurrency,
        verified: count,
        'p50 ms': p50Ms,
        'p99 ms': p99Ms,
      })),
    ),
  ].join('\n')
