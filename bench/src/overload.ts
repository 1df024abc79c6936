import { setTimeout as delay } from 'node:timers/promises'
import { omium } from '@omium/sdk'
import autocannon from 'autocannon'
import type { Flags } from './flags.ts'
import { percentile } from './load.ts'
import { residentMiB } from './measures.ts'
import { startBenchStack, startBenchWorker, startMeasuredGateway } from './stack.ts'
import { table } from './table.ts'

/** asked for, of what the platform can do */
const overloadFactor = 10
const overloadMs = 30_000
const peakConnections = 64
/** who may be waiting for an answer at a time; beyond, the load itself waits */
const overloadConnections = 4_000
/** what has to be true for an operator */
const goals = { goodputShare: 0.8, refusedP99Ms: 1_000, recoveryMs: 5_000 }
/** a create that is as fast as before */
const recoveredMs = 50

interface Phase {
  readonly what: string
  readonly asked: number | undefined
  readonly accepted: number
  readonly acceptedP99Ms: number
  readonly refused: number
  readonly refusedP99Ms: number
  /** neither accepted nor told to come again */
  readonly failed: number
}

export interface OverloadResult {
  readonly phases: readonly Phase[]
  readonly goodputShare: number
  readonly gatewayMiB: { readonly before: number; readonly most: number }
  /** from the end of the load until creates are as fast as before; undefined: not within 30 s */
  readonly recoveryMs: number | undefined
  /** refusals looked at, and those of them that said when to come again */
  readonly refusals: { readonly seen: number; readonly withRetryAfter: number }
  readonly holds: boolean
}

interface Target {
  readonly url: string
  readonly apiKey: string
}

const body = JSON.stringify({ agent: 'bench-ten-steps', input: { start: 0 } })
const headersOf = (apiKey: string) => ({ authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' })

const load = async (
  what: string,
  { url, apiKey }: Target,
  durationMs: number,
  connections: number,
  asked?: number,
): Promise<Phase> => {
  const took: Record<'accepted' | 'refused' | 'failed', number[]> = { accepted: [], refused: [], failed: [] }
  const began = performance.now()
  const { promise, resolve, reject } = Promise.withResolvers<autocannon.Result>()
  const options = {
    url,
    connections,
    duration: durationMs / 1000,
    headers: headersOf(apiKey),
    method: 'POST' as const,
    body,
    ...(asked !== undefined && { overallRate: asked }),
  }
  autocannon(options, (error, result) => (error ? reject(error) : resolve(result))).on(
    'response',
    (_client, status, _bytes, ms) => {
      took[status === 201 ? 'accepted' : status === 429 || status === 503 ? 'refused' : 'failed'].push(ms)
    },
  )
  const { errors } = await promise
  const seconds = (performance.now() - began) / 1000
  const perSecond = (kind: keyof typeof took) => Math.round(took[kind].length / seconds)
  const p99 = (kind: keyof typeof took) => {
    const sorted = took[kind].sort((a, b) => a - b)
    return sorted.length > 0 ? Math.round(percentile(sorted, 0.99)) : 0
  }
  return {
    what,
    asked,
    accepted: perSecond('accepted'),
    acceptedP99Ms: p99('accepted'),
    refused: perSecond('refused'),
    refusedP99Ms: p99('refused'),
    failed: took.failed.length + errors,
  }
}

/** Until creates, one at a time, are as fast again as they were. */
const recovery = async ({ url, apiKey }: Target): Promise<number | undefined> => {
  const began = performance.now()
  for (let fast = 0; performance.now() - began < 30_000; ) {
    const asked = performance.now()
    const { ok } = await fetch(url, { method: 'POST', headers: headersOf(apiKey), body })
    fast = ok && performance.now() - asked < recoveredMs ? fast + 1 : 0
    if (fast === 10) return Math.round(performance.now() - began)
  }
  return undefined
}

/** Ten times what the platform can do, for half a minute: what is done of it, how the rest is refused, and what is left of it. */
export const benchOverload = async (flags: Flags, say: (line: string) => void): Promise<OverloadResult> => {
  const stack = await startBenchStack({
    fsync: flags.fsync,
    services: 'platform',
    partitions: flags.partitions,
    say,
  })
  try {
    const { OMIUM_URL: platformUrl = '', OMIUM_API_KEY: apiKey = '' } = stack.environment
    const worker = await startBenchWorker(stack, 'worker')
    await (await omium({ url: platformUrl, apiKey }).start('bench-ten-steps', { start: 0 })).result()
    await worker.stop()
    const gateway = await startMeasuredGateway(stack)
    const target = { url: `${gateway.url}/v1/executions`, apiKey }
    const memory = () => residentMiB(new Map([['gateway', gateway.pid]]))['gateway'] ?? 0

    await load('warm-up', target, flags.warmupMs, peakConnections)
    const peak = await load(`${peakConnections} at a time`, target, flags.measureMs, peakConnections)
    say(`${peak.what}: ${peak.accepted}/s`)
    const before = memory()
    let most = before
    const refusals = { seen: 0, withRetryAfter: 0 }
    let over = false
    const watch = async () => {
      while (!over) {
        most = Math.max(most, memory())
        const answer = await fetch(target.url, { method: 'POST', headers: headersOf(apiKey), body }).catch(
          () => undefined,
        )
        if (answer && !answer.ok) {
          refusals.seen++
          if (answer.headers.has('retry-after')) refusals.withRetryAfter++
        }
        await delay(200)
      }
    }
    const watching = watch()
    const asked = peak.accepted * overloadFactor
    const overload = await load(`${overloadFactor} times that`, target, overloadMs, overloadConnections, asked)
    const recoveryMs = await recovery(target)
    over = true
    await watching
    const goodputShare = Math.round((overload.accepted / peak.accepted) * 100) / 100
    const holds =
      goodputShare >= goals.goodputShare &&
      overload.failed === 0 &&
      overload.refusedP99Ms < goals.refusedP99Ms &&
      refusals.withRetryAfter === refusals.seen &&
      (recoveryMs ?? Number.POSITIVE_INFINITY) < goals.recoveryMs
    return { phases: [peak, overload], goodputShare, gatewayMiB: { before, most }, recoveryMs, refusals, holds }
  } finally {
    await stack.stop()
  }
}

export const overloadText = ({
  phases,
  goodputShare,
  gatewayMiB,
  recoveryMs,
  refusals,
  holds,
}: OverloadResult): string =>
  [
    `creates over HTTP; ${overloadConnections.toLocaleString('en-US')} connections ask for ${overloadFactor} times the peak, for ${overloadMs / 1000} s`,
    '',
    table(
      phases.map(({ what, asked, accepted, acceptedP99Ms, refused, refusedP99Ms, failed }) => ({
        load: what,
        'asked per s': asked ?? 'as they go',
        'accepted per s': accepted,
        'p99 ms': acceptedP99Ms,
        'refused per s': refused,
        'refused p99 ms': refusedP99Ms,
        failed,
      })),
    ),
    '',
    `goodput ${goodputShare * 100} % of the peak; gateway ${gatewayMiB.before} MiB before, ${gatewayMiB.most} MiB at most`,
    `as fast as before after ${recoveryMs ?? 'more than 30000'} ms; ${refusals.withRetryAfter} of ${refusals.seen} refusals said when to come again`,
    `goodput >= ${goals.goodputShare * 100} %, refused within ${goals.refusedP99Ms} ms, recovered within ${goals.recoveryMs} ms, nothing failed: ${holds ? 'yes' : 'NO'}`,
  ].join('\n')
