import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { omium } from '@omium/sdk'
import autocannon from 'autocannon'
import { WebSocket } from 'ws'
import type { Flags } from './flags.ts'
import { openHeap, type ProcessHeap } from './live-heap.ts'
import { type BenchProcess, measuredGateway, startBenchStack, startBenchWorker, startMeasuredGateway } from './stack.ts'
import { table } from './table.ts'

/** requests a second that the paced row asks for, and how soon 99 of 100 have to be accepted */
const pacedRate = 500
const boundMs = 50
const connections = 16
const idleSubscribers = 5_000
/** connections that are opened at a time: a listen queue holds some hundred */
const openedAtOnce = 100

interface GatewayRow {
  readonly what: string
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** answers that were not 2xx, and requests that got none */
  readonly failed: number
}

export interface GatewayResult {
  readonly rows: readonly GatewayRow[]
  readonly paced: { readonly rate: number; readonly boundMs: number; readonly holds: boolean }
  readonly idle: {
    readonly subscribers: number
    /** after all garbage was collected, before and after */
    readonly heapKibEach: number
    readonly residentKibEach: number
    readonly gatewayMiB: number
  }
}

interface Load {
  readonly what: string
  readonly url: string
  readonly apiKey: string
  readonly durationMs: number
  readonly rate?: number
  readonly body?: string
}

const run = async ({ what, url, apiKey, durationMs, rate, body }: Load): Promise<GatewayRow> => {
  const result = await autocannon({
    url,
    connections,
    duration: durationMs / 1000,
    headers: { authorization: `Bearer ${apiKey}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(rate !== undefined && { overallRate: rate }),
    ...(body !== undefined && { method: 'POST' as const, body }),
  })
  const { latency, requests, errors, non2xx } = result
  return {
    what,
    perSecond: Math.round(requests.average),
    p50Ms: latency.p50,
    p99Ms: latency.p99,
    maxMs: latency.max,
    failed: errors + non2xx,
  }
}

const residentKib = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN)

/** Resident memory once it has stopped moving. */
const settledKib = async (pid: number): Promise<number> => {
  let last = residentKib(pid)
  for (let calm = 0; calm < 3; ) {
    await delay(500)
    const now = residentKib(pid)
    calm = Math.abs(now - last) < 1_024 ? calm + 1 : 0
    last = now
  }
  return last
}

/** WebSockets that each follow one run on which nothing happens. */
const measureIdle = async (
  gateway: BenchProcess,
  heap: ProcessHeap,
  url: string,
  apiKey: string,
  execution: string,
) => {
  const sockets: WebSocket[] = []
  const subscribe = async (): Promise<void> => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, {
      headers: { authorization: `Bearer ${apiKey}` },
      perMessageDeflate: false,
    })
    sockets.push(socket)
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject)
      socket.on('open', () => socket.send(JSON.stringify({ type: 'subscribe', subscription: 's', execution })))
      socket.on('message', (data) => {
        if (String(data).startsWith('{"type":"subscribed"')) resolve()
      })
    })
  }
  // garbage of the load before would hide what is added, or be taken for it
  const settledAndCollected = async () => {
    await settledKib(gateway.pid)
    const heapMiB = await heap.collectedMiB()
    return { heapMiB, residentKib: residentKib(gateway.pid) }
  }
  const before = await settledAndCollected()
  for (let opened = 0; opened < idleSubscribers; opened += openedAtOnce)
    await Promise.all(Array.from({ length: openedAtOnce }, subscribe))
  const after = await settledAndCollected()
  for (const socket of sockets) socket.terminate()
  return {
    subscribers: sockets.length,
    heapKibEach: Math.round((((after.heapMiB - before.heapMiB) * 1024) / sockets.length) * 10) / 10,
    residentKibEach: Math.round(((after.residentKib - before.residentKib) / sockets.length) * 10) / 10,
    gatewayMiB: Math.round(after.residentKib / 1024),
  }
}

/** Creating and reading over HTTP, and what idle subscribers weigh. Limits are off: the load is what is measured. */
export const benchGateway = async (flags: Flags, say: (line: string) => void): Promise<GatewayResult> => {
  const { fsync, partitions, warmupMs, measureMs } = flags
  const stack = await startBenchStack({ fsync, services: 'platform', partitions, say })
  try {
    const { OMIUM_URL: platformUrl = '', OMIUM_API_KEY: apiKey = '' } = stack.environment
    const worker = await startBenchWorker(stack, 'worker')
    const client = omium({ url: platformUrl, apiKey })
    const first = await client.start('bench-ten-steps', { start: 0 })
    await first.result()
    // its agents stay known: runs are accepted and wait, and what is measured is not their work
    await worker.stop()
    const waiting = await client.start('bench-ten-steps', { start: 0 })
    const gateway = await startMeasuredGateway(stack)
    const { url } = gateway
    const create = {
      url: `${url}/v1/executions`,
      apiKey,
      body: JSON.stringify({ agent: 'bench-ten-steps', input: { start: 0 } }),
    }
    const read = { url: `${url}/v1/executions/${first.id}`, apiKey }
    const list = { url: `${url}/v1/executions?limit=20`, apiKey }

    const paced = `create, ${pacedRate}/s`
    await run({ ...create, what: 'warm-up', durationMs: warmupMs, rate: pacedRate })
    const rows: GatewayRow[] = []
    for (const load of [
      { ...create, what: paced, durationMs: measureMs, rate: pacedRate },
      { ...read, what: 'read', durationMs: measureMs },
      { ...list, what: 'list', durationMs: measureMs },
      { ...create, what: 'create', durationMs: measureMs },
    ]) {
      const row = await run(load)
      rows.push(row)
      say(`${row.what}: ${row.perSecond}/s, p99 ${row.p99Ms} ms`)
    }
    const heap = await openHeap(gateway.pid, stack.logOf(measuredGateway))
    const idle = await measureIdle(gateway, heap, url, apiKey, waiting.id)
    heap.close()
    const row = rows.find(({ what }) => what === paced)
    const holds = row !== undefined && row.p99Ms < boundMs && row.failed === 0
    return { rows, paced: { rate: pacedRate, boundMs, holds }, idle }
  } finally {
    await stack.stop()
  }
}

export const gatewayText = ({ rows, paced, idle }: GatewayResult): string =>
  [
    `over HTTP, ${connections} connections; a create is answered when its event is accepted on the log`,
    '',
    table(
      rows.map(({ what, perSecond, p50Ms, p99Ms, maxMs, failed }) => ({
        what,
        'per s': perSecond,
        'p50 ms': p50Ms,
        'p99 ms': p99Ms,
        'max ms': maxMs,
        failed,
      })),
    ),
    '',
    `p99 < ${paced.boundMs} ms at ${paced.rate} creates/s: ${paced.holds ? 'yes' : 'NO'}`,
    `${idle.subscribers.toLocaleString('en-US')} idle subscribers: ${idle.heapKibEach} KiB of heap each, ${idle.residentKibEach} KiB resident, gateway at ${idle.gatewayMiB} MiB`,
  ].join('\n')
