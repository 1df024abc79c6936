import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { clientNames, type Driver, startDriver } from '../src/drivers.ts'
import { type Network, startNetwork } from '../src/network.ts'
import { runScenario } from '../src/run-scenario.ts'
import { readScenarios } from '../src/scenarios.ts'
import { startStage } from '../src/stage.ts'

/** Each client does what every client has to do, against the whole platform, over a network that misbehaves. */

let stage: Awaited<ReturnType<typeof startStage>>
let network: Network
beforeAll(async () => {
  stage = await startStage()
  network = await startNetwork(stage.url)
}, 240_000)
afterAll(async () => {
  await stage?.stop()
  await network?.close()
})

const scenarios = readScenarios(join(import.meta.dirname, '../scenarios'))

describe.each(clientNames)('%s', (client) => {
  let driver: Driver
  beforeAll(async () => {
    driver = await startDriver(client, { OMIUM_URL: network.url, OMIUM_API_KEY: stage.apiKey })
  })
  afterAll(() => driver?.close())

  it.each(scenarios)('$name', (scenario) => runScenario(scenario, { driver, network, prefix: client }), 60_000)
})
