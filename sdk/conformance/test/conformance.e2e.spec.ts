import { join } from 'node:path'
import { eventually, type TenantOfPlatform, tenantOfPlatform } from '@omium/dev/testing'
import { agent, nonRetryable, omium, type Worker, worker } from '@omium/sdk'
import { workflowAgent } from '@omium/workflow-interpreter'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { z } from 'zod'
import { clientNames, type Driver, startDriver } from '../src/drivers.ts'
import { type Network, startNetwork } from '../src/network.ts'
import { runScenario } from '../src/run-scenario.ts'
import { readScenarios } from '../src/scenarios.ts'

/** Each client does what every client has to do, against the whole platform, over a network that misbehaves. */

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
]

let platform: TenantOfPlatform
let host: Worker
let network: Network
beforeAll(async () => {
  platform = await tenantOfPlatform()
  const { url, apiKey } = platform
  network = await startNetwork(url)
  const logger = pino({ level: 'silent' })
  host = worker({ url, apiKey, agents: [...agents, workflowAgent], signals: false, logger })
  await host.start()
  const ours = agents.length + 1
  await eventually(async () => (await omium(platform).agents()).length === ours, { timeoutMs: 30_000 })
}, 240_000)
afterAll(async () => {
  await host?.stop()
  await network?.close()
})

const scenarios = readScenarios(join(import.meta.dirname, '../scenarios'))

describe.each(clientNames)('%s', (client) => {
  let driver: Driver
  beforeAll(async () => {
    driver = await startDriver(client, { OMIUM_URL: network.url, OMIUM_API_KEY: platform.apiKey })
  })
  afterAll(() => driver?.close())

  it.each(scenarios)('$name', (scenario) => runScenario(scenario, { driver, network, prefix: client }), 60_000)
})
