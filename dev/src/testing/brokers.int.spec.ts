import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { brokerCount } from '../components/kafka-metadata.ts'
import { type Cluster, eventually, spawnService, startBrokers } from '../testing.ts'

const portOf = (address: string): number => Number(address.split(':')[1])

describe('three brokers', { timeout: 180_000 }, () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startBrokers(3)
  })
  afterAll(() => cluster?.stop())

  it('notice that one was killed, and take it back', async () => {
    const [first, second] = cluster.brokers
    const pid = second!.pid()
    await second!.kill('SIGKILL')
    await eventually(async () => (await brokerCount(portOf(first!.address))) === 2, { timeoutMs: 60_000 })
    await second!.restart()
    expect(second!.pid()).not.toBe(pid)
    await eventually(async () => (await brokerCount(portOf(first!.address))) === 3, { timeoutMs: 60_000 })
  })
})

describe('a spawned service', () => {
  it('tells its output, can be paused, and ends when it is asked to', async () => {
    const service = await spawnService(
      'dev/src/testing/fixtures/ticking-service.ts',
      { TICK_MS: '5' },
      { readyLine: /tick 3/ },
    )
    expect(service.output()).toContain('tick 1')
    await service.stop()
    expect((await service.exited).code).toBe(0)
    expect(service.output()).toContain('bye')
  })

  it('fails with its output when it ends before it is ready', async () => {
    await expect(
      spawnService('dev/src/testing/fixtures/ticking-service.ts', { TICK_MS: 'none' }, { readyLine: /tick 3/ }),
    ).rejects.toThrow(/TICK_MS is not a number/)
  })
})
