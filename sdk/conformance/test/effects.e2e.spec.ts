import { join } from 'node:path'
import { freePort } from '@omium/dev'
import { eventually, type ServiceHandle, spawnService } from '@omium/dev/testing'
import { omium } from '@omium/sdk'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readCalls } from '../src/calls.ts'
import { clientNames, startDriver } from '../src/drivers.ts'
import { startNetwork } from '../src/network.ts'
import { runScenario } from '../src/run-scenario.ts'
import { readScenarios } from '../src/scenarios.ts'
import { startStage } from '../src/stage.ts'

/** What changes something is done once, however often it has to be sent; who waits goes on waiting, whatever becomes of the gateway. */

const effects = readScenarios(join(import.meta.dirname, '../effects.yaml'))

type Stage = Awaited<ReturnType<typeof startStage>>
let stages: Stage[]
beforeAll(async () => {
  stages = await Promise.all(clientNames.map(startStage))
}, 120_000)
afterAll(() => Promise.all((stages ?? []).map((stage) => stage.stop())))

const stageOf = (client: string): Stage => {
  const stage = stages[clientNames.indexOf(client)]
  if (!stage) throw new RangeError(`there is no stage for ${client}`)
  return stage
}

it('every call that changes something is among them', () => {
  const tried = new Set(
    effects.flatMap(({ steps }) => steps.flatMap((step) => ('call' in step && step.once ? [step.call] : []))),
  )
  // these look, or need a second person, or a crash between an effect and its record; they go the same way
  const others = /validate|verify|preview|^members\.|^resolve$/
  const changes = readCalls().filter(({ asks, call }) => !asks.startsWith('GET') && !others.test(call))
  expect(changes.map(({ call }) => call).filter((call) => !tried.has(call))).toEqual([])
})

it.concurrent.each(clientNames)(
  '%s: each is done once',
  async (client) => {
    const { url, apiKey } = stageOf(client)
    const network = await startNetwork(url)
    const driver = await startDriver(client, { OMIUM_URL: network.url, OMIUM_API_KEY: apiKey })
    try {
      let turn = clientNames.indexOf(client)
      const failures: string[] = []
      for (const scenario of effects) {
        const prefix = `${client}-once`
        await runScenario(scenario, { driver, network, prefix, turn }).catch((error: Error) => {
          failures.push(`${scenario.name}: ${error.message}`)
        })
        turn += scenario.steps.length
      }
      expect(failures).toEqual([])
    } finally {
      await driver.close()
      await network.close()
    }
  },
  180_000,
)

it('who waits for a result, or follows a run, goes on when the gateway is killed, and when it is replaced', async () => {
  const port = await freePort()
  const gatewayUrl = `http://127.0.0.1:${port}`
  const environment = { ...stages[0]?.environment, OMIUM_GATEWAY_PORT: String(port) }
  const gatewayUp = (): Promise<ServiceHandle> =>
    spawnService('gateway/src/main.ts', environment, { readyUrl: `${gatewayUrl}/health`, readyTimeoutMs: 60_000 })
  let gateway = await gatewayUp()
  const waits = clientNames.map(async (client) => {
    const { url, apiKey } = stageOf(client)
    const near = omium({ url, apiKey })
    const run = await near.start('conformance.asks', client)
    const there = { OMIUM_URL: gatewayUrl, OMIUM_API_KEY: apiKey }
    const [forResult, forEvents] = await Promise.all([startDriver(client, there), startDriver(client, there)])
    const result = forResult.call('result', { run: run.id, timeout: 100 })
    const events = forEvents.call('events', { run: run.id })
    return { run, result, events, close: () => Promise.all([forResult.close(), forEvents.close()]) }
  })
  try {
    const waiting = await Promise.all(waits)
    await gateway.kill('SIGKILL')
    for (const { run } of waiting) await run.signal('go')
    gateway = await gatewayUp()
    await gateway.stop()
    for (const { run } of waiting) await eventually(() => run.approve('approve#1'), { timeoutMs: 30_000 })
    gateway = await gatewayUp()
    for (const { run, result, events } of waiting) {
      expect(await result).toMatchObject({ ok: { approved: true } })
      const all: { version: number }[] = []
      for await (const { version } of run.events()) all.push({ version })
      expect(await events).toMatchObject({ ok: all })
    }
  } finally {
    for (const wait of await Promise.allSettled(waits)) if (wait.status === 'fulfilled') await wait.value.close()
    await gateway.stop()
  }
}, 180_000)
