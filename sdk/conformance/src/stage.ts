import { eventually, type TenantOfPlatform, tenantOfPlatform } from '@omium/dev/testing'
import { agent, nonRetryable, omium, worker } from '@omium/sdk'
import { workflowAgent } from '@omium/workflow-interpreter'
import { pino } from 'pino'
import { z } from 'zod'

const agents = [
  agent({
    id: 'conformance.steps',
    input: z.object({ n: z.number() }),
    async run({ n }, ctx) {
      const counted: number[] = []
      for (let i = 1; i <= n; i++) counted.push(await ctx.step('count', () => i, { key: String(i) }))
      return counted
    },
  }),
  agent({
    id: 'conformance.asks',
    input: z.unknown(),
    async run(given, ctx) {
      const went = await ctx.waitFor('go')
      const { approved } = await ctx.approve('Ship?')
      return { given, went, approved }
    },
  }),
  agent({
    id: 'conformance.fails',
    input: z.null(),
    run: async (_, ctx) => ctx.step('fail', () => Promise.reject(nonRetryable('this cannot be'))),
  }),
  agent({
    id: 'conformance.unsure',
    input: z.null(),
    run: async (_, ctx) => ctx.step('pay', () => new Promise(() => undefined), { effect: true, timeoutMs: 50 }),
  }),
  // of the guides
  agent({
    id: 'researcher',
    input: z.object({ topics: z.array(z.string()) }),
    async run({ topics }, ctx) {
      await ctx.step('search', () => topics)
      const { topic } = z.object({ topic: z.string() }).parse(await ctx.waitFor('more'))
      const { approved } = await ctx.approve('Publish?')
      return { text: [...topics, topic].join(' and '), approved }
    },
  }),
]

/** A tenant of the shared platform, with a worker that runs what the scenarios start. */
export const startStage = async (): Promise<TenantOfPlatform & { stop(): Promise<void> }> => {
  const platform = await tenantOfPlatform()
  const { url, apiKey } = platform
  const logger = pino({ level: 'silent' })
  const host = worker({
    url,
    apiKey,
    agents: [...agents, workflowAgent],
    signals: false,
    stallTimeoutMs: false,
    logger,
  })
  await host.start()
  const ours = agents.length + 1
  await eventually(async () => (await omium(platform).agents()).length === ours, { timeoutMs: 30_000 })
  return { ...platform, stop: () => host.stop() }
}
