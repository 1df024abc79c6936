import { eventually } from '@omium/dev/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayWorld, startGatewayWorld } from './gateway-world.ts'
import { type Relay, startRelay } from './relay.ts'
import { input } from './started-runs.ts'

/** Services that do not go away but hang: their connections stay open, and nothing comes. */
let world: GatewayWorld
let call: GatewayWorld['call']
let database: Relay
const patient = { timeoutMs: 30_000 }

beforeAll(async () => {
  world = await startGatewayWorld({
    throughTo: async (url) => {
      database = await startRelay(url)
      return database.url
    },
  })
  ;({ call } = world)
})
afterEach(() => database?.mend())
afterAll(async () => {
  await world?.close()
  await database?.close()
})

const ready = (at?: string) => call('GET', '/ready', { key: null, ...(at !== undefined && { at }) })

describe('a database that hangs', () => {
  it('is told, holds up no start, ends reads with a code, and is used again when it goes on', async () => {
    const start = () => call('POST', '/v1/executions', { body: { agent: 'writer', input } })
    expect((await start()).status).toBe(201)
    database.stall()
    await eventually(
      async () =>
        expect(await ready()).toMatchObject({
          status: 503,
          body: { reason: expect.stringContaining('the database does not answer') },
        }),
      patient,
    )
    const read = call('GET', '/v1/agents')
    // the key has to be looked up again meanwhile: what was known of it stands in
    const begun = performance.now()
    while (performance.now() - begun < 4_000) expect((await start()).status).toBe(201)
    expect(await read).toMatchObject({ status: 503, body: { code: 'unavailable' } })
    database.mend()
    await eventually(async () => expect((await ready()).status).toBe(200), patient)
    expect((await call('GET', '/v1/agents')).status).toBe(200)
  })
})

describe('a log that hangs', () => {
  it('is told, and so is its return', async () => {
    const { execution } = world.logs
    const { transport } = execution.context
    let hangs = false
    const endOffsets: typeof transport.endOffsets = (topic) =>
      hangs ? new Promise(() => undefined) : transport.endOffsets(topic)
    const context = { ...execution.context, transport: { ...transport, endOffsets } }
    const gateway = await world.startOne({}, { execution: { ...execution, context } })
    expect((await ready(gateway.url)).status).toBe(200)
    hangs = true
    await eventually(
      async () =>
        expect(await ready(gateway.url)).toMatchObject({ status: 503, body: { reason: 'the log does not answer' } }),
      patient,
    )
    await gateway.close()
  })
})
