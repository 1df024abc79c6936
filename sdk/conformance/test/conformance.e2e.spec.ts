import { join } from 'node:path'
import type { RunningStack } from '@omium/dev'
import { eventually, testPlatform } from '@omium/dev/testing'
import { agent, nonRetryable, omium, type Worker, worker } from '@omium/sdk'
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

let stack: RunningStack
let host: Worker
let network: Network
beforeAll(async () => {
  const services = ['migrations', 'log', 'execution-engine', 'projections', 'identity', 'workflow-manager']
  stack = await testPlatform({}, [...services, 'checkpoint-manager', 'gateway', 'worker-pool'])
  const connection = { url: stack.environment['OMIUM_URL'] ?? '', apiKey: stack.apiKey }
  network = await startNetwork(connection.url)
  host = worker({ ...connection, agents, signals: false, logger: pino({ level: 'silent' }) })
  await host.start()
  const client = omium(connection)
  await eventually(async () => (await client.agents()).some(({ agent: id }) => id === 'conformance.fails'), {
    timeoutMs: 30_000,
  })
}, 240_000)
afterAll(async () => {
  await host?.stop()
  await network?.close()
  await stack?.stop()
})

const scenarios = readScenarios(join(import.meta.dirname, '../scenarios'))

describe.each(clientNames)('%s', (client) => {
  let driver: Driver
  beforeAll(async () => {
    driver = await startDriver(client, { OMIUM_URL: network.url, OMIUM_API_KEY: stack.apiKey })
  })
  afterAll(() => driver?.close())

  it.each(scenarios)('$name', (scenario) => runScenario(scenario, { driver, network, prefix: client }), 60_000)
})
