import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, type IncidentView, OmiumError, type RecoveryStrategy } from '@omium/schemas'
import { agent, type Client, type Complete, omium, tool, type Worker, worker } from '@omium/sdk'
import { pino } from 'pino'
import { z } from 'zod'
import type { Flags } from './flags.ts'
import { startBenchStack } from './stack.ts'
import { table } from './table.ts'

/**
 * Mean time to recovery: each class of failure is injected into real runs, each strategy that fits it recovers them, and
 * what the incidents themselves say is reported: from the failure (accepted on the log) to the moment when the run got past
 * it. Delays that a policy adds are zero, so that the platform's own share is measured.
 */
interface Row {
  readonly fault: string
  readonly class: string
  readonly strategy: RecoveryStrategy
  readonly try: Readonly<Record<string, unknown>>
  readonly more?: Readonly<Record<string, unknown>>
}

const stallAfterMs = 1000

const rows: readonly Row[] = [
  { fault: 'model_overloaded', class: 'transient_provider', strategy: 'retry', try: { initialDelayMs: 0 } },
  { fault: 'model_a_down', class: 'transient_provider', strategy: 'other_model', try: { models: ['model-b'] } },
  { fault: 'model_rate_limited', class: 'rate_limit', strategy: 'retry', try: { initialDelayMs: 0 } },
  { fault: 'needs_repair', class: 'bad_model_output', strategy: 'repair_prompt', try: {} },
  { fault: 'too_long', class: 'context_length', strategy: 'smaller_context', try: { maxInputTokens: [100] } },
  { fault: 'slow_once', class: 'timeout', strategy: 'retry', try: { initialDelayMs: 0 } },
  { fault: 'tool', class: 'tool_error', strategy: 'retry', try: { initialDelayMs: 0 } },
  { fault: 'tool', class: 'tool_error', strategy: 'reassign', try: {} },
  { fault: 'tool', class: 'tool_error', strategy: 'roll_back', try: {} },
  { fault: 'tool', class: 'tool_error', strategy: 'skip_with_default', try: { output: 0 } },
  { fault: 'hangs_once', class: 'stall', strategy: 'reassign', try: {}, more: { stalls: { afterMs: stallAfterMs } } },
  {
    fault: 'circles',
    class: 'loop',
    strategy: 'roll_back',
    try: { instructions: 'Stop.' },
    more: { loops: { repeats: 4 } },
  },
  { fault: 'tool', class: 'tool_error', strategy: 'ask_person', try: {} },
]

export interface MttrRow {
  readonly class: string
  readonly strategy: string
  readonly runs: number
  readonly recovered: number
  /** failures that the plan did not overcome at once */
  readonly furtherTries: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}
export interface MttrResult {
  readonly fsync: boolean
  readonly atATime: number
  readonly rows: readonly MttrRow[]
}

const seen = new Set<string>()
const first = (key: string): boolean => {
  if (seen.has(key)) return false
  seen.add(key)
  return true
}
const broken = (code: ErrorCode): never => {
  throw new OmiumError(code, `injected: ${code}`)
}

const model: Complete = async (request) => {
  const text = request.messages.map(({ content }) => String(content)).join('\n')
  const [, fault = '', run = ''] = /\[(\w+) ([\w.-]+)\]/.exec(text) ?? []
  const answer = (content: string) => ({
    message: { role: 'assistant' as const, content },
    finishReason: 'stop',
    model: request.model,
  })
  if (fault === 'model_overloaded' || fault === 'model_rate_limited') return first(run) ? broken(fault) : answer('fine')
  if (fault === 'model_a_down') return request.model === 'model-b' ? answer('fine') : broken('model_overloaded')
  if (fault === 'needs_repair') return text.includes('Answer again') ? answer('fine') : broken('model_malformed')
  if (fault === 'too_long') return request.messages.length > 3 ? broken('model_context_length') : answer('fine')
  if (fault === 'circles' && !text.includes('Stop.')) {
    const call = { name: 'look', arguments: '{"at":"x"}' }
    const message = {
      role: 'assistant' as const,
      content: null,
      tool_calls: [{ id: 'c', type: 'function' as const, function: call }],
    }
    return { ...answer(''), message }
  }
  return answer('fine')
}

const look = tool({
  name: 'look',
  schema: z.object({ at: z.string() }),
  execute: () => delay(10).then(() => 'nothing'),
})

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

const faulty = agent({
  id: 'bench-faulty',
  input: z.object({ fault: z.string() }),
  run: async ({ fault }, ctx) => {
    await ctx.step('before', () => 1)
    const prompt = { role: 'user' as const, content: `[${fault} ${ctx.executionId}]` }
    if (fault === 'circles') {
      await ctx.llm.run({ model: 'model-a', messages: [prompt], tools: [look], maxTurns: 100 })
    } else if (['tool', 'slow_once', 'hangs_once'].includes(fault)) {
      await ctx.step(
        'fails',
        async ({ signal }) => {
          if (!first(ctx.executionId)) return 1
          if (fault !== 'tool') await untilAborted(signal)
          throw new Error('injected')
        },
        { retry: false, ...(fault === 'slow_once' && { timeoutMs: 50 }) },
      )
    } else {
      const older =
        fault === 'too_long'
          ? Array.from({ length: 6 }, () => ({ role: 'user' as const, content: 'old '.repeat(200) }))
          : []
      await ctx.llm.chat({ model: 'model-a', messages: [...older, prompt] }, { retry: false })
    }
    return ctx.step('after', () => 1)
  },
})

const measure = async (client: Client, row: Row, runs: number, atATime: number): Promise<MttrRow> => {
  const policy = `${row.class}-${row.strategy}`
  const { strategy } = row
  await client.recoveryPolicies.publish(policy, { ...row.more, rules: [{ try: [{ strategy, ...row.try }] }] })
  const ids: string[] = []
  let left = runs
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const run = await client.start(faulty, { fault: row.fault }, { options: { recovery: { policy } } })
      ids.push(run.id)
      if (strategy === 'ask_person') await answer(client, `${run.id}.1`)
      await run.result({ timeoutMs: 60_000 })
    }
  }
  await Promise.all(Array.from({ length: atATime }, one))
  const incidents = await Promise.all(ids.map((id) => closedIncident(client, `${id}.1`)))
  const times = incidents.flatMap(({ recoveredInMs }) => recoveredInMs ?? []).sort((a, b) => a - b)
  const at = (share: number): number =>
    times[Math.min(times.length - 1, Math.ceil(times.length * share) - 1)] ?? Number.NaN
  const expected = strategy === 'ask_person' ? 2 : 1
  return {
    class: incidents[0]?.class ?? row.class,
    strategy,
    runs,
    recovered: incidents.filter(({ status }) => status === 'succeeded').length,
    furtherTries: incidents.reduce((sum, { attempts }) => sum + attempts - expected, 0),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: times.at(-1) ?? Number.NaN,
  }
}

const patiently = async <T>(what: string, job: () => Promise<T | undefined>): Promise<T> => {
  const deadline = performance.now() + 30_000
  for (;;) {
    const found = await job().catch((error: unknown) => {
      if (error instanceof OmiumError && error.code === 'incident_unknown') return undefined
      throw error
    })
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`${what} did not come within 30 s`)
    await delay(10)
  }
}

const closedIncident = (client: Client, id: string): Promise<IncidentView> =>
  patiently(`the end of incident ${id}`, async () => {
    const incident = await client.recoveries.get(id)
    return incident.closedAt === undefined ? undefined : incident
  })

/** A person who answers at once. */
const answer = async (client: Client, id: string): Promise<void> => {
  await patiently(`the question of incident ${id}`, async () =>
    (await client.recoveries.get(id)).status === 'escalated' ? true : undefined,
  )
  await client.recoveries.decide(id, { type: 'retry' })
}

export const benchMttr = async ({ fsync, runs }: Flags, say: (line: string) => void): Promise<MttrResult> => {
  const atATime = 5
  const stack = await startBenchStack({ fsync, services: 'platform with recovery', say })
  let host: Worker | undefined
  try {
    const { OMIUM_URL: url, OMIUM_API_KEY: apiKey } = stack.environment
    const connection = { ...(url && { url }), ...(apiKey && { apiKey }) }
    const client = omium(connection)
    const logger = pino({ level: 'silent' })
    host = worker({ ...connection, agents: [faulty], llm: { complete: model }, signals: false, logger })
    await host.start()
    await patiently('the bench agent', async () => ((await client.agents()).length > 0 ? true : undefined))
    const measured: MttrRow[] = []
    for (const row of rows) {
      measured.push(await measure(client, row, runs, atATime))
      say(`${row.class} by ${row.strategy}`)
    }
    return { fsync, atATime, rows: measured }
  } finally {
    await host?.stop()
    await stack.stop()
  }
}

export const mttrText = ({ fsync, atATime, rows: measured }: MttrResult): string =>
  [
    `from a failure to the moment when its run got past it (${atATime} runs at a time, delays of policies 0)`,
    `durability ${fsync ? 'fsync' : 'default'}; a stall is noticed after ${stallAfterMs} ms without an event, which are part of nothing here`,
    '',
    table(
      measured.map((row) => ({
        class: row.class,
        strategy: row.strategy,
        runs: row.runs,
        recovered: row.recovered,
        'further tries': row.furtherTries,
        'p50 ms': row.p50Ms,
        'p99 ms': row.p99Ms,
        'max ms': row.maxMs,
      })),
    ),
  ].join('\n')
